"""MUGE's files: images as `item_id<TAB>base64` lines, queries as JSON lines."""

from collections.abc import Iterator
from pathlib import Path

from tusou.core.ids import Failure, ItemId, is_id
from tusou.core.json_objects import parse_object
from tusou.data.base import DatasetQuery, ItemRow, parse_item_id, require_all
from tusou.data.line_reader import FileLine, LinePool, read_lines

# An image of 8 MB is 11.2 million characters of base64; larger ones are refused anyway.
MAX_LINE_BYTES = 12 * 2**20

# cn_clip's names for the same fields; a file may use either.
_FIELD_NAMES = {"text_id": "query_id", "text": "query_text", "image_ids": "item_ids"}


def open_image_file(path: Path) -> LinePool:
    """Return the images of one file as an item pool; reads nothing yet."""
    return LinePool(
        path, kind="images", encoding="base64", max_bytes=MAX_LINE_BYTES, parse=_parse_image
    )


def _parse_image(line: bytes, number: int, start: int) -> ItemRow | Failure:
    raw_id, tab, encoded = line.partition(b"\t")
    if not tab:
        return Failure(number, None, "missing column: expected item_id<TAB>base64")
    try:
        item_id = parse_item_id(raw_id)
    except ValueError as error:
        return Failure(number, None, str(error))
    if not encoded:
        return Failure(number, item_id, "empty image")
    if b"\t" in encoded:
        return Failure(number, item_id, "more than two columns")
    return ItemRow(number, item_id, 0, start + len(raw_id) + 1, len(encoded))


def read_queries(path: Path) -> list[DatasetQuery]:
    """Read a query file; BadDataset lists every unusable line."""
    return require_all(path, scan_queries(path))


def scan_queries(path: Path) -> Iterator[DatasetQuery | Failure]:
    """Yield a query or a Failure for every line of a query file, in order."""
    first_lines: dict[ItemId, int] = {}
    for line in read_lines(path, MAX_LINE_BYTES):
        try:
            query = _parse_query(line)
        except ValueError as error:
            yield Failure(line.number, None, str(error))
            continue
        first_line = first_lines.setdefault(query.query_id, line.number)
        if first_line != line.number:
            reason = f"query_id already used on line {first_line}"
            yield Failure(line.number, str(query.query_id), reason)
        else:
            yield query


def _parse_query(line: FileLine) -> DatasetQuery:
    if line.data is None:
        raise ValueError(f"line longer than {MAX_LINE_BYTES} bytes")
    row = {_FIELD_NAMES.get(key, key): value for key, value in parse_object(line.data).items()}
    if not is_id(query_id := row.get("query_id")):
        raise ValueError("query_id missing, or neither an integer nor a string")
    if not isinstance(text := row.get("query_text"), str):
        raise ValueError("query_text missing or not a string")
    category = row.get("category")
    return DatasetQuery(
        line.number,
        query_id,
        text,
        _parse_item_ids(row.get("item_ids")),
        category if isinstance(category, str) else None,
    )


def _parse_item_ids(value: object) -> tuple[ItemId, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(is_id(item) for item in value):
        raise ValueError("item_ids is not a list of integers or strings")
    return tuple(value)
