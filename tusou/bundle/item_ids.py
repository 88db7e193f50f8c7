"""Item ids by row key, and row keys by item id."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tusou.bundle.bundle_parts import damage_as_corrupt
from tusou.core.arrays import Ids
from tusou.core.ids import ItemId, is_canonical_integer

_BLOCK = 1 << 16  # lines that are Python objects at once
_NEW_LINE = 10


class ItemIds:
    """Item ids read from a file of one id per line; the line number from 0 is the row key.

    Ten million ids take 240 MB if they are integers; texts take the size of the file besides.
    Raises CorruptBundle for a duplicate id, for text that is not UTF-8, and for a wrong integer.
    """

    def __init__(self, path: Path, *, integers: bool) -> None:
        with damage_as_corrupt(path):
            lines = _Lines(path.read_bytes())
            ids: _IdTable = _IntegerIds(lines) if integers else _TextIds(lines)
        self._ids, self._count = ids, len(lines)
        self.at = ids.at

    def __len__(self) -> int:
        return self._count

    def key(self, item_id: str) -> int | None:
        """Return the row key of an id given as text, compared as written; None if unknown."""
        return self._ids.key(item_id)


class _IdTable(Protocol):
    def at(self, key: int, /) -> ItemId: ...

    def key(self, item_id: str) -> int | None: ...


class _Lines:
    """The lines of a file in memory, without an object for each."""

    def __init__(self, data: bytes) -> None:
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEW_LINE)
        if not data.endswith(b"\n"):
            ends = np.append(ends, len(data))
        self._data, self._starts = data, np.concatenate([[0], ends + 1])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> bytes:
        return self._data[self._starts[number] : self._starts[number + 1] - 1]

    def blocks(self) -> Iterator[list[bytes]]:
        for start in range(0, len(self), _BLOCK):
            stop = min(start + _BLOCK, len(self))
            yield self._data[self._starts[start] : self._starts[stop] - 1].split(b"\n")


class _IntegerIds:
    def __init__(self, lines: _Lines) -> None:
        self._ids = np.concatenate([_integers(block) for block in lines.blocks()])
        self._order = np.argsort(self._ids)
        self._ordered = self._ids[self._order]
        if (self._ordered[1:] == self._ordered[:-1]).any():
            raise ValueError("a duplicate id")
        self.at = self._ids.item

    def key(self, item_id: str) -> int | None:
        if not is_canonical_integer(item_id):
            return None
        position = int(np.searchsorted(self._ordered, int(item_id)))
        known = position < len(self._ids) and self._ordered[position] == int(item_id)
        return int(self._order[position]) if known else None


class _TextIds:
    """Ids that are found by their hashes, which are sorted."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        hashes = np.concatenate([_hashes(block) for block in lines.blocks()])
        self._order = np.argsort(hashes)
        self._ordered = hashes[self._order]
        for position in np.flatnonzero(self._ordered[1:] == self._ordered[:-1]).tolist():
            first = lines[self._order[position]]
            if any(lines[other] == first for other in self._same_hash(position)[1:]):
                raise ValueError("a duplicate id")

    def at(self, key: int, /) -> str:
        return self._lines[range(len(self._lines))[key]].decode()

    def key(self, item_id: str) -> int | None:
        if "\n" in item_id:
            return None
        data = item_id.encode(errors="surrogatepass")
        position = int(np.searchsorted(self._ordered, hash(data)))
        keys = self._same_hash(position) if position < len(self._order) else []
        return next((int(key) for key in keys if self._lines[key] == data), None)

    def _same_hash(self, position: int) -> list[int]:
        """Return the keys at a position and after it that have the hash at this position."""
        stop = int(np.searchsorted(self._ordered, self._ordered[position], "right"))
        keys: list[int] = self._order[position:stop].tolist()
        return keys


def _integers(lines: list[bytes]) -> Ids:
    texts = b"\n".join(lines).decode().split("\n")
    numbers: npt.NDArray[np.int64] = np.array(texts, np.int64)
    if texts != list(map(str, numbers.tolist())):
        raise ValueError("an id is not an integer as JSON writes it")
    return numbers


def _hashes(lines: list[bytes]) -> Ids:
    b"\n".join(lines).decode()  # a ValueError unless it is UTF-8
    return np.fromiter(map(hash, lines), np.int64, len(lines))
