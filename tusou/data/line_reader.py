"""Reads a file line by line in bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tusou.core.files import open_regular
from tusou.core.ids import Encoding, Failure, ItemKind
from tusou.data.base import ItemPool, ItemRow
from tusou.data.jsonl import BOM

# Parses a line that is neither blank nor too long, given its bytes, number and offset.
ParseRow: TypeAlias = Callable[[bytes, int, int], ItemRow | Failure]


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line without its end (LF or CRLF), and its byte offset; `data` is None if too long."""

    number: int
    offset: int
    data: bytes | None


class PoolLine(NamedTuple):
    """A line with an item: its number, its byte offset and its bytes without the line end."""

    number: int
    offset: int
    data: bytes


def read_lines(
    path: Path, max_bytes: int, on_read: Callable[[bytes], None] = lambda _: None
) -> Iterator[FileLine]:
    """Yield the lines of a file; `on_read` is called with every part of it, in order.

    A byte order mark before the first line is skipped. A line longer than `max_bytes` is skipped
    without being held in memory.
    """
    with open_regular(path, 2**20) as file:
        number = end = 0
        while chunk := file.readline(max_bytes + 1):
            on_read(chunk)
            number += 1
            start, end = end, end + len(chunk)
            if len(chunk) > max_bytes:
                while chunk and not chunk.endswith(b"\n"):
                    chunk = file.readline(max_bytes + 1)
                    on_read(chunk)
                    end += len(chunk)
                yield FileLine(number, start, None)
                continue
            line = chunk.removesuffix(b"\n").removesuffix(b"\r")
            if number == 1 and line.startswith(BOM):
                line, start = line[len(BOM) :], start + len(BOM)
            yield FileLine(number, start, line)


class LinePool(ItemPool):
    """An item pool in one file with an item per line, scanned in the memory of one line."""

    def __init__(
        self, path: Path, *, kind: ItemKind, encoding: Encoding, max_bytes: int, parse: ParseRow
    ) -> None:
        super().__init__([path])
        self.kind, self.encoding = kind, encoding
        self._max_bytes, self._parse = max_bytes, parse

    def scan(self) -> Iterator[ItemRow | Failure]:
        for line in self.lines():
            if isinstance(line, Failure):
                yield line
            else:
                yield self._parse(line.data, line.number, line.offset)

    def lines(self) -> Iterator[PoolLine | Failure]:
        """Yield the lines, or a Failure for one that is too long or blank, except at the end."""
        blanks: list[Failure] = []
        for line in read_lines(self.files[0], self._max_bytes, self._count):
            if line.data is not None and not line.data.strip():
                blanks.append(Failure(line.number, None, "blank line"))
                continue
            yield from blanks
            blanks.clear()
            if line.data is None:
                yield Failure(line.number, None, f"line longer than {self._max_bytes} bytes")
            else:
                yield PoolLine(line.number, line.offset, line.data)

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
