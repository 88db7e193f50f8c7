"""Search of a version's index and of live items together."""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.bundle.biased_vectors import add_bias
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.indexes.base import SearchIndex, best_first
from tusou.retrieval.live_biases import SnapshotBiases

if TYPE_CHECKING:  # imports pyarrow
    from tusou.live.snapshot import LiveSnapshot

# Neighbors asked for beyond k, in case removed items are among them; then twice as many.
SPARE = 8
# More than the difference of two ways to compute the same inner product.
_ROUNDING = np.float32(1e-5)

Scores: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]


class LiveIndex:
    """The index of a version without its removed items, and the live items of a snapshot.

    Live items are compared exactly, whatever the type of the version's index. Scores and the order
    of ties are as if all items were in one index.
    """

    def __init__(
        self, index: SearchIndex, snapshot: "LiveSnapshot", biases: SnapshotBiases | None = None
    ) -> None:
        """`biases` are those of the snapshot's items where the index has biases."""
        self._index, self._snapshot = index, snapshot
        self._biases = biases
        self.dim = index.dim

    def __len__(self) -> int:
        return self._snapshot.size

    def search(self, queries: Vectors, k: int) -> Neighbors:
        """Return the k best items per query, ties by key, padded if fewer are there."""
        of_version = self._search_version(queries, k)
        if not len(self._snapshot.live_keys):
            if of_version.ids.shape[1] < k:  # removed live items count in the length
                return best_first(of_version.ids, of_version.scores, k)
            return of_version
        return self._merge(queries, of_version, self._search_live(queries, k), k)

    def search_among(self, queries: Vectors, k: int, keys: Ids) -> Neighbors:
        """Return the k best items per query among those of row keys, exactly."""
        size = self._snapshot.version_size
        split = int(np.searchsorted(keys, size))
        of_version = self._index.search_among(queries, k, keys[:split])
        if split == len(keys):
            return of_version
        allowed = np.zeros(self._snapshot.size, np.bool_)
        allowed[keys[split:]] = True
        return self._merge(queries, of_version, self._search_live(queries, k, allowed), k)

    def _search_live(self, queries: Vectors, k: int, allowed: Mask | None = None) -> Neighbors:
        vectors = None if self._biases is None else self._biases.live_vectors
        return self._snapshot.search(queries, k, allowed, vectors)

    def _search_version(self, queries: Vectors, k: int) -> Neighbors:
        removed, size = self._snapshot.removed, self._snapshot.version_size
        count = self._snapshot.removed_count
        if not count:
            return self._index.search(queries, min(k, size))
        needed = min(k, size - count)
        width = min(k + min(count, SPARE), size)
        while True:
            neighbors = self._index.search(queries, width)
            ids = np.where((neighbors.ids >= 0) & ~removed[neighbors.ids], neighbors.ids, -1)
            enough = np.count_nonzero(ids >= 0, axis=1) >= needed
            exhausted = neighbors.ids[:, -1] < 0  # a wider search finds no more
            if width == size or (enough | exhausted).all():
                break
            width = min(2 * width, size)
        scores = np.where(ids >= 0, neighbors.scores, np.float32(-np.inf))
        return best_first(ids, scores, min(k, size))

    def _merge(self, queries: Vectors, of_version: Neighbors, live: Neighbors, k: int) -> Neighbors:
        scores = of_version.scores.copy()
        for query, keys, row, others in zip(
            queries, of_version.ids, scores, np.sort(live.scores), strict=True
        ):
            near = np.flatnonzero(_is_near(row, others) & (keys >= 0))
            if len(near):
                vectors = self._snapshot.vectors(keys[near].tolist())
                if self._biases is not None:
                    vectors = add_bias(vectors, self._biases.by_key[keys[near]])
                row[near] = [np.dot(vector, query) for vector in vectors]
        ids = np.concatenate([of_version.ids, live.ids], axis=1)
        return best_first(ids, np.concatenate([scores, live.scores], axis=1), k)


def _is_near(scores: Scores, others: Scores) -> Mask:
    """Return which scores could be equal to one of the others, which ascend, but for rounding.

    An index rounds otherwise than the comparison of live items, so that the same vector in both
    would not tie.
    """
    places = np.searchsorted(others, scores - _ROUNDING)
    nearest = others[np.minimum(places, len(others) - 1)]
    return (places < len(others)) & (nearest <= scores + _ROUNDING)
