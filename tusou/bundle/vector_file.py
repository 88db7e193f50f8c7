"""The file of a version's vectors, read row by row from an open descriptor."""

import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tusou.bundle.array_file import data_offset
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import CorruptBundle

VECTOR_TYPE = "<f4"
_BLOCK = 1 << 14


class VectorFile:
    """Rows of numbers by row key, (n, d), which can be read after the file's name is gone.

    A service reads them from here, because truncating a mapped file would end the process (SIGBUS).
    Raises CorruptBundle instead.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: str = VECTOR_TYPE) -> None:
        self._path, self._shape, self._dtype = path, shape, dtype
        self._start = data_offset(path, dtype, shape)
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self._shape[1]

    def rows(self, keys: Ids | Sequence[int]) -> Vectors:
        """Read the vectors of row keys, in their order; safe in any thread.

        Keys that follow each other are read at once. Scattered ones are announced first, so that a
        disk reads them together instead of one after the other.
        """
        keys = np.asarray(keys, np.int64)
        rows = np.empty((len(keys), self._shape[1]), self._dtype)
        buffer, size = rows.reshape(-1).view(np.uint8).data, rows.strides[0]
        stops = [*(np.flatnonzero(np.diff(keys) != 1) + 1).tolist(), len(keys)]
        if len(stops) > 1 and hasattr(os, "posix_fadvise"):
            for position in [0, *stops[:-1]]:
                offset = self._start + int(keys[position]) * size
                os.posix_fadvise(self._descriptor, offset, size, os.POSIX_FADV_WILLNEED)
        start = 0
        for stop in stops if len(keys) else ():
            part = buffer[start * size : stop * size]
            offset = self._start + int(keys[start]) * size
            if os.preadv(self._descriptor, [part], offset) != len(part):
                raise CorruptBundle(
                    f"{self._path} has been truncated since it was opened; index again"
                )
            start = stop
        return rows

    def blocks(self) -> Iterator[Vectors]:
        """Read all vectors, some thousand at a time."""
        for start in range(0, len(self), _BLOCK):
            yield self.rows(np.arange(start, min(start + _BLOCK, len(self))))

    def read(self, dtype: str = VECTOR_TYPE) -> npt.NDArray[Any]:
        """Read all vectors into an array of a type."""
        vectors = np.empty((len(self), self.dim), dtype)
        start = 0
        for block in self.blocks():
            vectors[start : start + len(block)] = block
            start += len(block)
        return vectors
