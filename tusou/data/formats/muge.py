"""The MUGE format: images as `item_id<TAB>base64` lines, queries as JSON lines."""

from collections.abc import Iterator
from pathlib import Path

from tusou.core.ids import Failure, ItemId, is_id
from tusou.core.json_objects import parse_object
from tusou.data.base import DatasetQuery, ItemRow, parse_item_id, require_all
from tusou.data.line_reader import FileLine, LinePool, LineReader

# 8 MB of image is 11.2 million base64 characters; nothing usable is longer than this.
MAX_LINE_BYTES = 12 * 2**20

# cn_clip names the same fields differently; a file may use either.
_NAMES = {"text_id": "query_id", "text": "query_text", "image_ids": "item_ids"}


def _image_row(line: bytes, number: int, start: int) -> ItemRow | Failure:
    raw_id, tab, encoded = line.partition(b"\t")
    if not tab:
        return Failure(number, None, "missing column: expected item_id<TAB>base64")
    item_id, problem = parse_item_id(raw_id)
    if problem:
        return Failure(number, item_id, problem)
    if not encoded:
        return Failure(number, item_id, "empty image")
    if b"\t" in encoded:
        return Failure(number, item_id, "more than two columns")
    return ItemRow(number, item_id or "", 0, start + len(raw_id) + 1, len(encoded))


def open_image_file(path: Path) -> LinePool:
    """Return the images of one file as a pool; nothing is read yet."""
    return LinePool(path, kind="images", encoding="base64", longest=MAX_LINE_BYTES, read=_image_row)


def read_queries(path: Path) -> list[DatasetQuery]:
    """Read a whole query file; BadDataset lists every unusable line with its number."""
    return require_all(path, scan_queries(path))


def scan_queries(path: Path) -> Iterator[DatasetQuery | Failure]:
    """Yield every line of a query file once, in order; what cannot be used is a Failure."""
    first_seen: dict[ItemId, int] = {}
    for line in LineReader(path, MAX_LINE_BYTES):
        try:
            query = _parse_query(line)
        except ValueError as error:
            yield Failure(line.number, None, str(error))
            continue
        first = first_seen.setdefault(query.query_id, line.number)
        if first != line.number:
            reason = f"query_id already used on line {first}"
            yield Failure(line.number, str(query.query_id), reason)
        else:
            yield query


def _parse_query(line: FileLine) -> DatasetQuery:
    if line.data is None:
        raise ValueError(f"line longer than {MAX_LINE_BYTES} bytes")
    row = {_NAMES.get(key, key): value for key, value in parse_object(line.data).items()}
    if not is_id(query_id := row.get("query_id")):
        raise ValueError("query_id missing, or neither an integer nor a string")
    if not isinstance(text := row.get("query_text"), str):
        raise ValueError("query_text missing or not a string")
    return DatasetQuery(line.number, query_id, text, _answers(row.get("item_ids")))


def _answers(value: object) -> tuple[ItemId, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(is_id(item) for item in value):
        raise ValueError("item_ids is not a list of integers or strings")
    return tuple(value)
