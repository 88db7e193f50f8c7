"""The interface of vector indexes, and the order of their results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from tusou.attributes.filters import Filter
from tusou.core.arrays import Ids, Neighbors, Vectors

Mask: TypeAlias = npt.NDArray[np.bool_]


class SearchIndex(Protocol):
    """Nearest neighbors by inner product over unit vectors: a higher score is closer.

    Implementations may be approximate in *which* ids they return; the score of an id is its inner
    product, unless the index compares codes instead of vectors.
    """

    @property
    def dim(self) -> int:
        """The length of a vector."""
        ...

    def __len__(self) -> int: ...

    def search(self, queries: Vectors, k: int) -> Neighbors:
        """Return the k best per query, ties by id. Safe to call from several threads."""
        ...

    def search_among(self, queries: Vectors, k: int, keys: Ids) -> Neighbors:
        """Return the k best per query among the items of row keys, by exact search, ties by key.

        `keys` (m,) ascend.
        """
        ...


class VectorIndex(SearchIndex, Protocol):
    """A search index that is filled once and saved."""

    @property
    def min_items(self) -> int:
        """The least number of vectors that `fill` needs."""
        ...

    def fill(self, vectors: Vectors) -> None:
        """Store all vectors (n, dim) of an empty index; their row keys are their positions.

        They may be mapped from a file, and are read in blocks. They must not change afterwards: an
        index may read them again in a search.
        """
        ...

    def tune(self, tuning: str) -> None:
        """Set search parameters, such as `nprobe=16`; InvalidRequest if unknown."""
        ...

    def save(self, path: Path) -> None:
        """Write what a search needs besides the stored vectors."""
        ...


@runtime_checkable
class FilteringIndex(Protocol):
    """An index that stores the attributes and selects items by itself."""

    def search_where(self, queries: Vectors, k: int, selected: Filter) -> Neighbors:
        """Return the k best per query of the items that pass a filter, ties by id."""
        ...


@runtime_checkable
class SelectingIndex(Protocol):
    """An index that finds candidates by their codes, and compares those that are selected."""

    @property
    def compares_candidates(self) -> bool:
        """Return whether `search_selected` may be called."""
        ...

    def search_selected(
        self, queries: Vectors, counts: Sequence[int], width: int, masks: Sequence[Mask]
    ) -> list[Neighbors | None]:
        """Return the best selected items of each query, (1, m), from a search for `width` items.

        `masks` (n,) are by row key. There are at least `counts[i]` for the i-th query, the best of
        as many candidates as a search without a mask compares; None if the search sees too few, or
        items may be missing that tie with the last one of these.
        """
        ...


class IndexServer(Protocol):
    """A server that searches an index."""

    @property
    def available(self) -> bool:
        """Return whether it is asked: False after failures in a row."""
        ...

    def ping(self) -> None:
        """Raise IndexUnavailable unless it answers."""
        ...


@runtime_checkable
class ServedIndex(Protocol):
    """An index that a server searches."""

    @property
    def server(self) -> IndexServer:
        """The server of the index."""
        ...


def best_first(ids: Ids, scores: npt.NDArray[np.float32], k: int) -> Neighbors:
    """Return the k best of each row of candidates, equal scores by id, padded to k.

    `ids` and `scores` have the same shape, (n, m).
    """
    if (missing := k - ids.shape[1]) > 0:
        ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
        scores = np.pad(scores, ((0, 0), (0, missing)), constant_values=-np.inf)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return Neighbors(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))
