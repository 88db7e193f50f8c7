"""Vectors with a bias: an index of them returns cosines minus biases, whatever its type.

An item is stored as (v, bias, 0, ...) and a query as (q, -1, 0, ...), so their inner product is
`q v - bias`. A query (q, 0, 0, ...) gives the plain cosine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt

from tusou.bundle.vector_file import VECTOR_TYPE, VectorFile
from tusou.core.arrays import Ids, Vectors

# The length is a multiple of this, because codes of several dimensions must fill it.
_MULTIPLE = 8
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


def as_query(vector: Vectors, *, adjust: bool) -> Vectors:
    """Return one query (d,) for an index of biased vectors; unless `adjust`, for plain cosines."""
    query = np.zeros(biased_dim(len(vector)), np.float32)
    query[: len(vector)] = vector
    query[len(vector)] = -1 if adjust else 0
    return query


@contextmanager
def biased_array(vectors: Vectors, bias: Bias, folder: Path) -> Iterator[Vectors]:
    """Yield all vectors with their biases, mapped from a file in `folder` that has no name."""
    shape = len(vectors), biased_dim(vectors.shape[1])
    with TemporaryFile(dir=folder) as file:
        for start in range(0, len(vectors), _BLOCK):
            part = slice(start, start + _BLOCK)
            file.write(add_bias(vectors[part], bias[part]).data)
        file.flush()
        yield np.memmap(file, VECTOR_TYPE, "r", 0, shape)


class BiasedVectorFile(VectorFile):
    """The file of a version's vectors, read with the biases of its items."""

    def __init__(self, path: Path, shape: tuple[int, int], bias: Bias) -> None:
        super().__init__(path, shape)
        self._bias = bias

    @property
    def dim(self) -> int:
        return biased_dim(super().dim)

    def rows(self, keys: Ids | list[int]) -> Vectors:  # type: ignore[override]
        return add_bias(super().rows(keys), self._bias[np.asarray(keys, np.int64)])
