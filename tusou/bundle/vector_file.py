"""The file of a version's vectors, read row by row from an open descriptor."""

import os
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tusou.bundle.array_file import data_offset
from tusou.core.arrays import Vectors
from tusou.core.errors import CorruptBundle

VECTOR_TYPE = "<f4"


class VectorFile:
    """Vectors by row key, (n, d), which can be read after the file's name is gone.

    A service reads them from here, because truncating a mapped file would end the process (SIGBUS).
    Raises CorruptBundle instead.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self._path, self._shape = path, shape
        self._start = data_offset(path, VECTOR_TYPE, shape)
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return self._shape[0]

    def rows(self, keys: Iterable[int]) -> Vectors:
        """Read the vectors of some row keys, in their order; safe in any thread."""
        _, dim = self._shape
        size = dim * np.dtype(VECTOR_TYPE).itemsize
        data = [os.pread(self._descriptor, size, self._start + key * size) for key in keys]
        if any(len(row) != size for row in data):
            raise CorruptBundle(f"{self._path} has been truncated since it was opened; index again")
        return np.frombuffer(b"".join(data), VECTOR_TYPE).reshape(len(data), dim)
