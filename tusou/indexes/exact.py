"""Exact search in numpy, the reference for every other index type."""

from pathlib import Path
from typing import Self

import numpy as np

from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes.array_file import load_arrays, save_arrays
from tusou.indexes.base import best_first
from tusou.indexes.specs import ExactSpec

# Items scored at once; bounds the block of scores (queries, items).
_BLOCK = 65_536


class ExactIndex:
    """All vectors in one array, compared with every query."""

    exact_scores = True

    def __init__(self, _spec: ExactSpec, dim: int) -> None:
        self.dim = dim
        self._ids: Ids = np.empty(0, np.int64)
        self._vectors: Vectors = np.empty((0, dim), np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        self._vectors = np.concatenate([self._vectors, vectors])
        self._ids = np.concatenate([self._ids, ids])

    def search(self, queries: Vectors, k: int) -> Neighbors:
        best = Neighbors(
            np.full((len(queries), k), -1, np.int64),
            np.full((len(queries), k), -np.inf, np.float32),
        )
        for start in range(0, len(self), _BLOCK):
            scores = queries @ self._vectors[start : start + _BLOCK].T
            ids = np.broadcast_to(self._ids[start : start + _BLOCK], scores.shape)
            merged = best_first(np.hstack([best.ids, ids]), np.hstack([best.scores, scores]))
            best = Neighbors(merged.ids[:, :k], merged.scores[:, :k])
        return best

    def tune(self, tuning: str) -> None:
        """Raise InvalidRequest unless the string is empty: there are no parameters."""
        if tuning:
            raise InvalidRequest(f"the exact index has nothing to tune, got {tuning!r}")

    def save(self, path: Path) -> None:
        save_arrays(path, self._ids, self._vectors)

    @classmethod
    def load(cls, spec: ExactSpec, path: Path, device: str = "cpu") -> Self:
        """Return the index that `save` wrote; it is always on the CPU."""
        del device
        ids, vectors = load_arrays(path)
        index = cls(spec, vectors.shape[1])
        index.add(ids, vectors)
        return index
