"""Reads CSV tables in UTF-8, UTF-16 or GB18030, with quoted line breaks and unclosed quotes.

A gzip file, and a zip of one file, are unpacked.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.file_kinds import GZIP, ZIP
from tusou.core.ids import Failure
from tusou.data.line_reader import FileLine, read_lines
from tusou.data.text_file import UTF16, decode_text, read_text_bytes, refuse_foreign_file

# A caption has a few hundred bytes; csv itself refuses cells over 131,072 characters.
MAX_LINE_BYTES = 2**16
_MAX_RECORD_LINES = 100

_CAPTION = "caption"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record of a table: its first line, and its cells by column name."""

    line: int
    cells: dict[str, str]


def detect_encoding(path: Path) -> str:
    """Return utf-8 or gb18030 (which includes GBK), whichever fits more of the non-ASCII lines."""
    votes = 0
    for line in read_lines(path, MAX_LINE_BYTES):
        if line.data is not None and not line.data.isascii():
            votes += -1 if isinstance(_decode(line, "utf-8"), Failure) else 1
    return "utf-8" if votes >= 0 else "gb18030"


def read_text_lines(path: Path) -> Iterator[tuple[int, str] | Failure]:
    """Yield the number, from 1, and the text of each line that is not blank."""
    for number, text in enumerate(_decode_lines(path), start=1):
        if isinstance(text, Failure):
            yield text
        elif text.strip():
            yield number, text


def read_table(path: Path, columns: Sequence[str]) -> Iterator[TableRow | Failure]:
    """Yield the records below the header; BadDataset when the header lacks one of `columns`.

    Cells beyond the last column are joined to it if that is the caption, since people write commas
    without quotes.
    """
    header: list[str] | None = None
    for record in read_records(path):
        if isinstance(record, Failure):
            yield record
        elif header is None:
            header = _parse_header(path, record[1], columns)
        else:
            yield _make_row(*record, header)
    if header is None:
        raise BadDataset(f"{path}: empty; its first line must name the columns {','.join(columns)}")


def _parse_header(path: Path, cells: list[str], columns: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    if missing := [name for name in columns if name not in names]:
        raise BadDataset(
            f"{path}:1: no column {', '.join(missing)}; the first line must name "
            f"{','.join(columns)}, it holds {','.join(names)[:200]}"
        )
    return names


def _make_row(line: int, cells: list[str], header: list[str]) -> TableRow | Failure:
    extra = len(cells) - len(header)
    if extra > 0 and header[-1] == _CAPTION:
        cells = [*cells[: len(header) - 1], ",".join(cells[len(header) - 1 :])]
    elif extra:
        return Failure(line, None, f"{len(cells)} cells where the header names {len(header)}")
    return TableRow(line, dict(zip(header, cells, strict=True)))


def read_records(path: Path) -> Iterator[tuple[int, list[str]] | Failure]:
    """Yield each record's first line and cells, joining lines while a quote is open.

    A quote that is never closed costs its own line only.
    """
    lines = list(_decode_lines(path))
    number = 0
    while number < len(lines):
        text, number = lines[number], number + 1
        if isinstance(text, Failure):
            yield text
        elif text.strip():
            record = _read_record(lines[number - 1 : number + _MAX_RECORD_LINES])
            if record is None:
                yield Failure(number, None, "a quote opens a cell that does not close")
            else:
                cells, count = record
                yield number, cells
                number += count - 1


def _decode_lines(path: Path) -> Iterator[str | Failure]:
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith((*UTF16, GZIP, ZIP)):
        text = decode_text(path, read_text_bytes(path))
        return iter(text.removesuffix("\n").replace("\r\n", "\n").split("\n"))
    refuse_foreign_file(path)
    encoding = detect_encoding(path)
    return (_decode(line, encoding) for line in read_lines(path, MAX_LINE_BYTES))


def _decode(line: FileLine, encoding: str) -> str | Failure:
    if line.data is None:
        return Failure(line.number, None, f"line longer than {MAX_LINE_BYTES} bytes")
    try:
        return line.data.decode(encoding)
    except UnicodeDecodeError as error:
        return Failure(line.number, None, f"not {encoding.upper()} at byte {error.start}")


def _read_record(lines: Sequence[str | Failure]) -> tuple[list[str], int] | None:
    """Return the cells of the first record and how many lines it has; None if it does not end."""
    text = ""
    for count, line in enumerate(lines, start=1):
        if isinstance(line, Failure):
            return None
        text = f"{text}\n{line}" if count > 1 else line
        cells = _parse_record(text)
        if cells is not None:
            return cells, count
    return None


def _parse_record(text: str) -> list[str] | None:
    """Return the cells of one record; None if a quoted cell is still open at its end."""
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
    except StopIteration:
        return []
    try:
        return next(csv.reader([text]))  # "a"b becomes ab, as in spreadsheets
    except csv.Error:
        return None
