"""Read a query file so that each row can be written again with every other field as it was."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import TusouError
from tusou.core.json_objects import parse_object
from tusou.data import open_dataset
from tusou.data.jsonl import split_lines
from tusou_client.errors import BadQueries

# A file of such a name may be a dataset by itself: captions, or a tar.
_DATASETS = {".json", ".tar", ".txt"}

# The field names of MUGE, and of cn_clip's working files.
_ID_OF_TEXT = {"query_text": "query_id", "text": "text_id"}
_ANSWERS_OF_TEXT = {"query_text": "item_ids", "text": "image_ids"}


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A JSON number as it was written: 1.10 and 2e400 survive, which no float does."""

    written: str


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One usable line of a query file."""

    line: int  # counted from 1
    query_id: object  # a JsonNumber or a string
    text: str
    fields: dict[str, object]
    answers: str  # the name of the field to fill

    def filled(self, item_ids: Sequence[int | str]) -> bytes:
        """Return the output line, without its end: the fields in order, the answers filled."""
        return _dump(self.fields | {self.answers: list(item_ids)}).encode()


def read_source(place: str) -> bytes:
    """Read a query file, or a dataset's queries as one; BadQueries when nothing there is either."""
    path = Path(place)
    if path.is_file() and path.suffix not in _DATASETS:
        return path.read_bytes()
    try:
        return open_dataset(place).query_lines()
    except TusouError as error:
        raise BadQueries(str(error)) from None


def read_queries(data: bytes) -> list[QueryRow]:
    """Return the rows of a JSONL file, or raise BadQueries naming every unusable line.

    Byte order mark and CRLF are tolerated; blank lines are not: the output has a row per line.
    """
    lines = split_lines(data)
    if lines in ([], [b""]):
        raise BadQueries("The query file is empty.")
    rows: list[QueryRow] = []
    problems: list[str] = []
    first_line: dict[object, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = _row(number, line)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        earlier = first_line.setdefault(row.query_id, number)
        if earlier != number:
            problems.append(f"line {number}: the id of line {earlier} again")
        rows.append(row)
    if problems:
        listed = "\n  ".join(problems)
        raise BadQueries(f"{len(problems)} lines cannot be used; nothing was sent.\n  {listed}")
    return rows


def _row(number: int, line: bytes) -> QueryRow:
    fields = parse_object(line, number=JsonNumber, unique_fields=True)
    name = "text" if "query_text" not in fields and "text_id" in fields else "query_text"
    query_id, text = fields.get(_ID_OF_TEXT[name]), fields.get(name)
    if not _is_id(query_id):
        raise ValueError(f"`{_ID_OF_TEXT[name]}` is missing or not an integer or a string")
    if not isinstance(text, str):
        raise ValueError(f"`{name}` is missing or not a string")
    row = QueryRow(number, query_id, text, fields, _ANSWERS_OF_TEXT[name])
    try:
        row.filled(())
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is not Unicode text") from None
    return row


def _is_id(value: object) -> bool:
    if isinstance(value, JsonNumber):
        return value.written.removeprefix("-").isdigit()
    return isinstance(value, str)


def _dump(value: object) -> str:
    """Write JSON as `json.dumps(..., ensure_ascii=False)` does, but numbers as they were."""
    match value:
        case JsonNumber(written):
            return written
        case dict():
            return "{" + ", ".join(f"{_dump(key)}: {_dump(value[key])}" for key in value) + "}"
        case list():
            return "[" + ", ".join(map(_dump, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
