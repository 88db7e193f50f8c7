"""Helpers for tests of the dataset readers."""

from pathlib import Path

from tusou.core.ids import Failure
from tusou.data import ItemRow, open_dataset, open_pool


def write_file(path: Path, content: bytes | str) -> Path:
    """Write a file and the folders above it; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_items(source: object) -> list[tuple[str, bytes] | tuple[int, str]]:
    """Return id and bytes of each item of a source, and line and reason of each failure."""
    pool = open_pool(str(source))
    rows: list[tuple[str, bytes] | tuple[int, str]] = []
    for row in pool.scan():
        if isinstance(row, ItemRow):
            data = pool.files[row.file].read_bytes()[row.offset : row.offset + row.length]
            rows.append((row.item_id, data))
        else:
            rows.append((row.line, row.reason))
    assert pool.size > 0
    return rows


def read_queries(source: object) -> list[tuple[object, str, object] | tuple[int, str]]:
    """Return id, text and judgments of each query, and line and reason of each failure."""
    return [
        (row.line, row.reason)
        if isinstance(row, Failure)
        else (row.query_id, row.text, row.item_ids)
        for row in open_dataset(str(source)).scan_queries()
    ]
