"""Vectors with a bias: an index of them returns cosines minus biases, whatever its type.

An item is stored as (v, bias, 0, ...) and a query as (q, -1, 0, ...), so their inner product is
`q v - bias`. A query (q, 0, 0, ...) gives the plain cosine.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt

from tusou.bundle.vector_file import VECTOR_TYPE, VectorFile
from tusou.core.arrays import Ids, Vectors

# The length is a multiple of this: rows of other lengths do not begin at a cache line, and take up
# to a quarter longer to compare. Codes of several dimensions must fill it, too.
_MULTIPLE = 16
_BLOCK = 1 << 14

Bias = npt.NDArray[np.float32]  # (n,)


def biased_dim(dim: int) -> int:
    """Return the length of a vector of `dim` numbers with its bias."""
    return -(-(dim + 1) // _MULTIPLE) * _MULTIPLE


def add_bias(vectors: Vectors, bias: Bias) -> Vectors:
    """Return vectors (n, d) with their biases (n,)."""
    count, dim = vectors.shape
    biased = np.zeros((count, biased_dim(dim)), np.float32)
    biased[:, :dim], biased[:, dim] = vectors, bias
    return biased


def as_queries(vectors: Vectors, *, adjust: bool) -> Vectors:
    """Return queries (n, d) for an index of biased vectors; unless `adjust`, for plain cosines."""
    return add_bias(vectors, np.full(len(vectors), -1 if adjust else 0, np.float32))


def biased_array(vectors: Vectors, bias: Bias, folder: Path) -> Vectors:
    """Return all vectors with their biases, mapped from a file in `folder` that has no name."""
    shape = len(vectors), biased_dim(vectors.shape[1])
    with TemporaryFile(dir=folder) as file:
        for start in range(0, len(vectors), _BLOCK):
            part = slice(start, start + _BLOCK)
            file.write(add_bias(vectors[part], bias[part]).data)
        file.flush()
        return np.memmap(file, VECTOR_TYPE, "r", 0, shape)


class BiasedVectorFile(VectorFile):
    """The file of a version's vectors, read with the biases of its items."""

    def __init__(self, path: Path, shape: tuple[int, int], bias: Bias) -> None:
        super().__init__(path, shape)
        self._bias = bias

    @property
    def dim(self) -> int:
        return biased_dim(super().dim)

    def rows(self, keys: Ids | Sequence[int]) -> Vectors:
        return add_bias(super().rows(keys), self._bias[np.asarray(keys, np.int64)])
