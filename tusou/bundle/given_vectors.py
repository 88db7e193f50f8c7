"""Vectors that another program encoded, in a NumPy array file."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import BadDataset
from tusou.core.files import open_regular

_TYPES = ("float16", "float32", "float64")
_MAX_DIM = 65_536
_MAGIC, _ZIP = b"\x93NUMPY", b"PK"
_BLOCK_BYTES = 2**26
# Shorter ones have no direction; their squares vanish.
_SHORTEST = 1e-30
_ROUNDING = 1e-5  # of the length 1: such a row keeps its bits


class GivenVectors:
    """The rows of a `.npy` file of floats, (n, d), mapped and read block by block."""

    def __init__(self, path: Path) -> None:
        """Open the file; BadDataset unless it holds a matrix of floats."""
        _check_magic(path)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError, TypeError) as error:
            reason = str(error).partition("\n")[0][:160]
            raise BadDataset(f"{path} cannot be read as a NumPy array: {reason}") from None
        if array.ndim != 2 or array.dtype.name not in _TYPES:
            raise BadDataset(
                f"{path} holds an array of shape {array.shape} and type {array.dtype.name}; write "
                f"vectors as rows, (n, d), of {', '.join(_TYPES)}"
            )
        if not array.size or array.shape[1] > _MAX_DIM:
            raise BadDataset(f"{path} holds an array of shape {array.shape}; write n rows of d")
        self.path, self.dtype = path, array.dtype.name
        self._array: npt.NDArray[np.floating[Any]] = array

    def __len__(self) -> int:
        return len(self._array)

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return int(self._array.shape[1])

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Yield the position of a block, its rows (m, d) and their lengths (m,).

        A length is NaN or infinite if the row cannot be normalised.
        """
        size = max(1, _BLOCK_BYTES // (8 * self.dim))
        for start in range(0, len(self), size):
            rows = self._array[start : start + size].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                yield start, rows, np.sqrt(np.einsum("nd,nd->n", rows, rows))

    def problem(self, norm: float) -> str | None:
        """Return why a row of this length cannot be normalised, in a short phrase; else None."""
        if not np.isfinite(norm):
            return "vector is not finite"
        return "vector of zeros" if norm < _SHORTEST else None

    def unit_rows(self, rows: Ids) -> Iterator[Vectors]:
        """Yield the rows at these positions, ascending, as unit vectors of float32 in blocks.

        A row of float32 that has unit length already keeps its bits.
        """
        for start, block, norms in self.blocks():
            here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(block))]
            divisors = norms[here - start]
            divisors[np.abs(divisors - 1) < _ROUNDING] = 1
            yield (block[here - start] / divisors[:, np.newaxis]).astype(np.float32)


def _check_magic(path: Path) -> None:
    """Raise BadDataset for a file that is not a `.npy`, with a hint for a `.npz`."""
    try:
        with open_regular(path, io.DEFAULT_BUFFER_SIZE) as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise BadDataset(f"{path} cannot be read: {error.strerror}") from None
    if start.startswith(_ZIP):
        raise BadDataset(f"{path} is an archive of arrays; write the vectors alone, with np.save")
    if start != _MAGIC:
        raise BadDataset(f"{path} is not a NumPy array; write the vectors with np.save")
