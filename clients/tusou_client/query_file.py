"""Reads query files, keeping every field of a row so that it can be written again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import TusouError
from tusou.core.json_objects import parse_object
from tusou.core.problems import list_problems
from tusou.data import may_be_dataset, open_dataset
from tusou.data.jsonl import split_lines
from tusou.data.query_lines import read_query_lines
from tusou_client.errors import BadQueries

# MUGE's field names and cn_clip's, by the name of the text.
_ID_FIELDS = {"query_text": "query_id", "text": "text_id"}
_ITEMS_FIELDS = {"query_text": "item_ids", "text": "image_ids"}


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A JSON number as written in the file, since a float would change 1.10 and 2e400."""

    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One line of a query file."""

    line: int  # from 1
    query_id: object  # a JsonNumber or a string
    text: str
    fields: dict[str, object]
    items_field: str  # the name of the field for the results

    def format(self, item_ids: Sequence[int | str]) -> bytes:
        """Return the output line without its end: all fields in order, with the results."""
        return _format_json(self.fields | {self.items_field: list(item_ids)}).encode()


def read_source(source: str) -> bytes:
    """Return a query file in any form, or a dataset's queries, as JSON lines; BadQueries."""
    path = Path(source)
    try:
        return (
            open_dataset(source).query_lines() if may_be_dataset(path) else read_query_lines(path)
        )
    except TusouError as error:
        raise BadQueries(str(error)) from None


def read_queries(data: bytes) -> list[QueryRow]:
    """Return the rows of a query file; BadQueries lists every unusable line.

    A byte order mark and CRLF are accepted. Blank lines are not, since the output has a row for
    each line.
    """
    lines = split_lines(data)
    if lines in ([], [b""]):
        raise BadQueries("The query file is empty.")
    rows: list[QueryRow] = []
    problems: list[str] = []
    first_lines: dict[object, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = _parse_row(number, line)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        first_line = first_lines.setdefault(row.query_id, number)
        if first_line != number:
            problems.append(f"line {number}: the id of line {first_line} again")
        rows.append(row)
    if problems:
        listed = list_problems(problems)
        raise BadQueries(f"{len(problems)} lines cannot be used; nothing was sent.{listed}")
    return rows


def _parse_row(number: int, line: bytes) -> QueryRow:
    fields = parse_object(line, number=JsonNumber, unique_fields=True)
    name = "text" if "query_text" not in fields and "text_id" in fields else "query_text"
    query_id, text = fields.get(_ID_FIELDS[name]), fields.get(name)
    if not _is_id(query_id):
        raise ValueError(f"`{_ID_FIELDS[name]}` is missing or not an integer or a string")
    if not isinstance(text, str):
        raise ValueError(f"`{name}` is missing or not a string")
    row = QueryRow(number, query_id, text, fields, _ITEMS_FIELDS[name])
    try:
        row.format(())
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is not Unicode text") from None
    return row


def _is_id(value: object) -> bool:
    if isinstance(value, JsonNumber):
        return value.written.removeprefix("-").isdigit()
    return isinstance(value, str)


def _format_json(value: object) -> str:
    """Return JSON as `json.dumps(..., ensure_ascii=False)` does, with numbers as written."""
    match value:
        case JsonNumber(written):
            return written
        case dict():
            return (
                "{"
                + ", ".join(f"{_format_json(key)}: {_format_json(value[key])}" for key in value)
                + "}"
            )
        case list():
            return "[" + ", ".join(map(_format_json, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
