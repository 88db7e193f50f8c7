"""Helpers of the readers' tests: files written in one call, and items and queries as tuples."""

from pathlib import Path

from tusou.core.ids import Failure
from tusou.data import ItemRow, open_dataset, open_pool


def write(root: Path, **files: bytes | str) -> Path:
    """Write files; a double underscore in a name is a dot, `images__` starts an image's name."""
    for name, content in files.items():
        put(root / name.replace("__", "."), content)
    return root


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_items(source: object) -> list[tuple[str, bytes] | tuple[int, str]]:
    """Return the id and bytes of each item, and the line and reason of each failure."""
    pool = open_pool(str(source))
    result: list[tuple[str, bytes] | tuple[int, str]] = []
    for row in pool.scan():
        if isinstance(row, ItemRow):
            data = pool.files[row.file].read_bytes()[row.offset : row.offset + row.length]
            result.append((row.item_id, data))
        else:
            result.append((row.line, row.reason))
    assert pool.size > 0
    return result


def read_queries(source: object) -> list[tuple[object, str, object] | tuple[int, str]]:
    """Return id, text and correct items of each query, and line and reason of each failure."""
    return [
        (row.line, row.reason)
        if isinstance(row, Failure)
        else (row.query_id, row.text, row.item_ids)
        for row in open_dataset(str(source)).scan_queries()
    ]
