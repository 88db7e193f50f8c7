"""What tests of the readers share: folders written in a line, and what was read in plain words."""

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


def items(place: object) -> list[tuple[str, bytes] | tuple[int, str]]:
    """Read a whole pool: id and bytes of each item, line and reason of each failure."""
    pool = open_pool(str(place))
    found: list[tuple[str, bytes] | tuple[int, str]] = []
    for row in pool.scan():
        if isinstance(row, ItemRow):
            data = pool.files[row.file].read_bytes()[row.offset : row.offset + row.length]
            found.append((row.item_id, data))
        else:
            found.append((row.line, row.reason))
    assert pool.size > 0
    return found


def asked(place: object) -> list[tuple[object, str, object] | tuple[int, str]]:
    """Read all queries: id, text and answers of each, line and reason of each failure."""
    return [
        (found.line, found.reason)
        if isinstance(found, Failure)
        else (found.query_id, found.text, found.item_ids)
        for found in open_dataset(str(place)).scan_queries()
    ]
