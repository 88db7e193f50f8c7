"""Reads a file line by line in bounded memory, digesting every byte."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from tusou.core.ids import Encoding, Failure, ItemKind
from tusou.data.base import ItemRow
from tusou.data.jsonl import BOM

# Parses a line that is neither blank nor too long, given its bytes, number and offset.
ParseRow: TypeAlias = Callable[[bytes, int, int], ItemRow | Failure]


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line without its end (LF or CRLF), and its byte offset; `data` is None if too long."""

    number: int
    offset: int
    data: bytes | None


class LineReader:
    """The lines of a file; `sha256` and `size` describe the bytes read so far.

    A byte order mark before the first line is skipped. A line longer than `max_bytes` is skipped
    without being held in memory.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self._max_bytes = path, max_bytes
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hexadecimal digest of all bytes read so far."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[FileLine]:
        with self.path.open("rb", buffering=2**20) as file:
            number = 0
            while chunk := self._read(file):
                number += 1
                start = self.size - len(chunk)
                if len(chunk) > self._max_bytes:
                    self._skip_rest(file, chunk)
                    yield FileLine(number, start, None)
                    continue
                line = chunk.removesuffix(b"\n").removesuffix(b"\r")
                if number == 1 and line.startswith(BOM):
                    line, start = line[len(BOM) :], start + len(BOM)
                yield FileLine(number, start, line)

    def _read(self, file: BinaryIO) -> bytes:
        chunk = file.readline(self._max_bytes + 1)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk

    def _skip_rest(self, file: BinaryIO, chunk: bytes) -> None:
        while chunk and not chunk.endswith(b"\n"):
            chunk = self._read(file)


class LinePool:
    """An item pool in one file with an item per line, scanned in the memory of one line."""

    def __init__(
        self, path: Path, *, kind: ItemKind, encoding: Encoding, max_bytes: int, parse: ParseRow
    ) -> None:
        self.kind, self.encoding = kind, encoding
        self._max_bytes, self._parse = max_bytes, parse
        self._lines = LineReader(path, max_bytes)

    @property
    def files(self) -> Sequence[Path]:
        """The file itself."""
        return (self._lines.path,)

    @property
    def sha256(self) -> str:
        """The hexadecimal digest of all bytes read so far."""
        return self._lines.sha256

    @property
    def size(self) -> int:
        """The number of bytes read so far."""
        return self._lines.size

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield an item or a Failure for every line, in order."""
        for line in self._lines:
            if line.data is None:
                yield Failure(line.number, None, f"line longer than {self._max_bytes} bytes")
            elif not line.data.strip():
                yield Failure(line.number, None, "blank line")
            else:
                yield self._parse(line.data, line.number, line.offset)
