"""CSV tables as people save them: UTF-8 or GB18030, line breaks in quotes, quotes left open."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tusou.core.errors import BadDataset
from tusou.core.ids import Failure
from tusou.data.line_reader import FileLine, LineReader

# A caption has a few hundred bytes; csv itself gives up at 131,072 characters.
MAX_LINE_BYTES = 2**16
_MAX_RECORD_LINES = 100

_CAPTION = "caption"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record of a table: the line it begins on, and its cells by the header's names."""

    line: int
    cells: dict[str, str]


def encoding_of(path: Path) -> str:
    """Tell UTF-8 from GB18030 (which GBK is part of) by what most lines with Chinese are."""
    votes = 0
    for line in LineReader(path, MAX_LINE_BYTES):
        if line.data is not None and not line.data.isascii():
            votes += 1 if _decodes(line.data, "utf-8") else -1
    return "utf-8" if votes >= 0 else "gb18030"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def read_lines(path: Path) -> Iterator[tuple[int, str] | Failure]:
    """Yield the lines of a text file, numbered from 1; blank ones are passed over."""
    encoding = encoding_of(path)
    for line in LineReader(path, MAX_LINE_BYTES):
        text = _text(line, encoding)
        if isinstance(text, Failure):
            yield text
        elif text.strip():
            yield line.number, text


def read_table(path: Path, columns: Sequence[str]) -> Iterator[TableRow | Failure]:
    """Yield the records below the header; BadDataset when the header lacks one of `columns`.

    What stands beyond the last column belongs to it when that is a caption: people write commas
    without quotes.
    """
    records = _records(path)
    header: list[str] | None = None
    for found in records:
        if isinstance(found, Failure):
            yield found
        elif header is None:
            header = _header(path, found[1], columns)
        else:
            yield _row(*found, header)
    if header is None:
        raise BadDataset(f"{path}: empty; its first line must name the columns {','.join(columns)}")


def _header(path: Path, cells: list[str], columns: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    if missing := [name for name in columns if name not in names]:
        raise BadDataset(
            f"{path}:1: no column {', '.join(missing)}; the first line must name "
            f"{','.join(columns)}, it holds {','.join(names)[:200]}"
        )
    return names


def _row(line: int, cells: list[str], header: list[str]) -> TableRow | Failure:
    extra = len(cells) - len(header)
    if extra > 0 and header[-1] == _CAPTION:
        cells = [*cells[: len(header) - 1], ",".join(cells[len(header) - 1 :])]
    elif extra:
        return Failure(line, None, f"{len(cells)} cells where the header names {len(header)}")
    return TableRow(line, dict(zip(header, cells, strict=True)))


def _records(path: Path) -> Iterator[tuple[int, list[str]] | Failure]:
    """Join lines while a quote is open; a quote that stays open costs its own line alone."""
    encoding = encoding_of(path)
    lines = iter(LineReader(path, MAX_LINE_BYTES))
    waiting: deque[FileLine] = deque()
    while (line := _next(waiting, lines)) is not None:
        text = _text(line, encoding)
        if isinstance(text, Failure):
            yield text
        elif text.strip():
            cells = _cells(text, encoding, waiting, lines)
            unclosed = Failure(line.number, None, "a quote opens a cell that does not close")
            yield unclosed if cells is None else (line.number, cells)


def _next(waiting: deque[FileLine], lines: Iterator[FileLine]) -> FileLine | None:
    return waiting.popleft() if waiting else next(lines, None)


def _text(line: FileLine, encoding: str) -> str | Failure:
    if line.data is None:
        return Failure(line.number, None, f"line longer than {MAX_LINE_BYTES} bytes")
    try:
        return line.data.decode(encoding)
    except UnicodeDecodeError as error:
        return Failure(line.number, None, f"not {encoding.upper()} at byte {error.start}")


def _cells(
    text: str, encoding: str, waiting: deque[FileLine], lines: Iterator[FileLine]
) -> list[str] | None:
    """Parse the record that begins with `text`; None when it has no end, its lines put back."""
    taken: list[FileLine] = []
    while (cells := _parse(text)) is None:
        more = _next(waiting, lines) if len(taken) < _MAX_RECORD_LINES else None
        if more is not None:
            taken.append(more)
        end = "" if more is None else _text(more, encoding)
        if more is None or isinstance(end, Failure):
            waiting.extendleft(reversed(taken))
            return None
        text = f"{text}\n{end}"
    return cells


def _parse(text: str) -> list[str] | None:
    """Split one record; None while a quoted cell is open at its end."""
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
    except StopIteration:
        return []
    try:
        return next(csv.reader([text]))  # "a"b: taken as ab, as spreadsheets do
    except csv.Error:
        return None
