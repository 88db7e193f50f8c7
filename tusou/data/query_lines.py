"""Reads query files of several forms as JSON lines."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId, is_canonical_integer
from tusou.data.text_file import decode_text, read_text_bytes

# Suffixes of plain text, one query per line, and of tables with a header.
_PLAIN, _TABLES = ".txt", {".csv": ",", ".tsv": "\t"}
_COMPRESSED = {".gz", ".zip"}
_ID_COLUMNS = ("query_id", "text_id", "id")
_TEXT_COLUMNS = ("query_text", "text", "query", "caption")
# Between the tokens of JSON; other line separators of Unicode may be part of a text.
_LINE_ENDS = re.compile(r"[\r\n]+")


def read_query_lines(path: Path) -> bytes:
    """Return a query file as JSON lines: JSON lines themselves, or rows made of another form.

    The other forms are one JSON array of rows or texts, a `.txt` of one query per line, and a
    `.csv` or `.tsv` with a header; a query without an id gets its number or its line's. Blank
    lines at the end are dropped. Raises BadDataset for a file of another kind.
    """
    data = read_text_bytes(path)
    start = data.lstrip()[:1]
    if start == b"[" and (elements := _split_array(data)) is not None:
        return elements
    suffix = query_suffix(path)
    if suffix in (_PLAIN, *_TABLES) and start != b"{":
        text = decode_text(path, data)
        rows = _read_lines(text) if suffix == _PLAIN else _read_table(path, text, _TABLES[suffix])
        return _json_lines(rows)
    if not data.strip():
        return b""
    line_end = data.find(b"\n", len(data.rstrip()))
    return data if line_end < 0 else data[: line_end + 1]


def query_suffix(path: Path) -> str:
    """Return the suffix of a file in lower case; of `queries.txt.gz`, that of the text."""
    compressed = path.suffix.lower() in _COMPRESSED
    return (Path(path.stem) if compressed else path).suffix.lower()


def _split_array(data: bytes) -> bytes | None:
    """Return the elements of a JSON array, one per line, as written; None for other data."""
    try:
        text = data.decode()
        decoder, elements, values = json.JSONDecoder(), list[str](), list[object]()
        position = text.index("[") + 1
        while (start := _skip_blanks(text, position)) < len(text) and text[start] != "]":
            value, end = decoder.raw_decode(text, start)
            values.append(value)
            elements.append(_LINE_ENDS.sub(" ", text[start:end]))
            position = _skip_blanks(text, end)
            if text[position : position + 1] == ",":
                position += 1
        closed = text[start:].strip() == "]"
    except (ValueError, RecursionError):
        return None
    if closed and all(isinstance(value, str) for value in values):
        return _json_lines(
            {"query_id": n, "query_text": value} for n, value in enumerate(values, 1)
        )
    return "".join(f"{element}\n" for element in elements).encode() if closed else None


def _json_lines(rows: Iterable[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _skip_blanks(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position


def _read_lines(text: str) -> Iterator[dict[str, object]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield {"query_id": number, "query_text": line.strip()}


def _read_table(path: Path, text: str, delimiter: str) -> Iterator[dict[str, object]]:
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(records, ())]
        id_column, text_column = (_find(header, names) for names in (_ID_COLUMNS, _TEXT_COLUMNS))
        if text_column is None or "item_ids" in header or "image_ids" in header:
            raise BadDataset(f"{path}:1: {_explain_header(header)}")
        first_lines: dict[str, int] = {}
        for cells in records:
            if not any(cells):
                continue
            number = records.line_num
            if len(cells) != len(header):
                problem = f"{len(cells)} cells where the header names {len(header)}"
                raise BadDataset(f"{path}:{number}: {problem}")
            query_id = str(number) if id_column is None else cells[id_column].strip()
            if not query_id:
                raise BadDataset(f"{path}:{number}: the query has no id")
            # Told here: a reader of the rows does not know the lines of the file.
            if (first := first_lines.setdefault(query_id, number)) != number:
                raise BadDataset(f"{path}:{number}: the id of line {first} again")
            yield {"query_id": _parse_id(query_id), "query_text": cells[text_column]}
    except csv.Error as error:
        raise BadDataset(f"{path}:{records.line_num}: not CSV ({error})") from None


def _explain_header(header: Sequence[str]) -> str:
    """Return why a table's first line heads no table of queries, and what to do."""
    named = ",".join(header)[:200]
    if {"item_ids", "image_ids"} & {*header}:
        return f"a table of queries holds no correct items ({named}); write them in JSON lines"
    if {"image_id", "item_id", "image", "img", "base64", "image_base64"} & {*header}:
        return (
            f"these are images ({named}), and a table is read as queries; name a pool .tsv, with "
            "lines of item_id<TAB>base64"
        )
    return (
        "a table of queries begins with a line that names its columns, query_id and query_text; "
        f"this one begins with {named}"
    )


def _find(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _parse_id(written: str) -> ItemId:
    """Return an integer if the id is one as JSON writes it, as MUGE's ids are."""
    return int(written) if is_canonical_integer(written) else written
