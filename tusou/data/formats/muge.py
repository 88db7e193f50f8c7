"""MUGE's query files, also with cn_clip's field names."""

from collections.abc import Iterator
from pathlib import Path

from tusou.core.ids import Failure, ItemId, is_id
from tusou.core.json_objects import parse_object
from tusou.data.base import DatasetQuery, require_all
from tusou.data.jsonl import split_lines
from tusou.data.query_lines import read_query_lines

MAX_LINE_BYTES = 12 * 2**20

# cn_clip's names for the same fields; a file may use either.
_FIELD_NAMES = {"text_id": "query_id", "text": "query_text", "image_ids": "item_ids"}


def read_queries(path: Path) -> list[DatasetQuery]:
    """Read a query file; BadDataset lists every unusable line."""
    return require_all(path, scan_queries(path))


def scan_queries(path: Path) -> Iterator[DatasetQuery | Failure]:
    """Yield a query or a Failure for every line of a query file, in order."""
    first_lines: dict[ItemId, int] = {}
    for number, line in enumerate(split_lines(read_query_lines(path)), start=1):
        try:
            query = _parse_query(line, number)
        except ValueError as error:
            yield Failure(number, None, str(error))
            continue
        first_line = first_lines.setdefault(query.query_id, number)
        if first_line != number:
            reason = f"query_id already used on line {first_line}"
            yield Failure(number, str(query.query_id), reason)
        else:
            yield query


def _parse_query(line: bytes, number: int) -> DatasetQuery:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"line longer than {MAX_LINE_BYTES} bytes")
    row = {_FIELD_NAMES.get(key, key): value for key, value in parse_object(line).items()}
    if not is_id(query_id := row.get("query_id")):
        raise ValueError("query_id missing, or neither an integer nor a string")
    if not isinstance(text := row.get("query_text"), str):
        raise ValueError("query_text missing or not a string")
    category = row.get("category")
    return DatasetQuery(
        number,
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
