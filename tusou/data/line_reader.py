"""One pass over a file's lines in the memory of the longest, digesting every byte."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tusou.core.ids import Encoding, Failure, ItemKind
from tusou.data.base import ItemRow
from tusou.data.jsonl import BOM

# Makes an item of a line that is neither blank nor too long: its bytes, number and offset.
ReadRow = Callable[[bytes, int, int], ItemRow | Failure]


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line without its end (LF or CRLF), and the byte where it starts; None if too long."""

    number: int
    offset: int
    data: bytes | None


class LineReader:
    """A file of lines; after the pass `sha256` and `size` describe the bytes that were read.

    A BOM before the first line is passed over. What is longer than `longest` bytes is skipped
    without being held in memory.
    """

    def __init__(self, path: Path, longest: int) -> None:
        self.path, self._longest = path, longest
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of all bytes read so far, in hexadecimal."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[FileLine]:
        with self.path.open("rb", buffering=2**20) as file:
            number = 0
            while chunk := self._read(file):
                number += 1
                start = self.size - len(chunk)
                if len(chunk) > self._longest:
                    self._skip_rest(file, chunk)
                    yield FileLine(number, start, None)
                    continue
                line = chunk.removesuffix(b"\n").removesuffix(b"\r")
                if number == 1 and line.startswith(BOM):
                    line, start = line[len(BOM) :], start + len(BOM)
                yield FileLine(number, start, line)

    def _read(self, file: BinaryIO) -> bytes:
        chunk = file.readline(self._longest + 1)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk

    def _skip_rest(self, file: BinaryIO, chunk: bytes) -> None:
        while chunk and not chunk.endswith(b"\n"):
            chunk = self._read(file)


class LinePool:
    """A pool in one file, an item a line: one pass in the memory of its longest line.

    A BOM before the first line and CRLF line ends are accepted; what cannot be used becomes a
    `Failure`.
    """

    def __init__(
        self, path: Path, *, kind: ItemKind, encoding: Encoding, longest: int, read: ReadRow
    ) -> None:
        self.kind, self.encoding = kind, encoding
        self._longest, self._row = longest, read
        self._lines = LineReader(path, longest)

    @property
    def files(self) -> Sequence[Path]:
        """The file itself."""
        return (self._lines.path,)

    @property
    def sha256(self) -> str:
        """The digest of all bytes read so far, in hexadecimal."""
        return self._lines.sha256

    @property
    def size(self) -> int:
        """Count the bytes read so far."""
        return self._lines.size

    def scan(self) -> Iterator[ItemRow | Failure]:
        """Yield every line once, in order."""
        for line in self._lines:
            if line.data is None:
                yield Failure(line.number, None, f"line longer than {self._longest} bytes")
            elif not line.data.strip():
                yield Failure(line.number, None, "blank line")
            else:
                yield self._row(line.data, line.number, line.offset)
