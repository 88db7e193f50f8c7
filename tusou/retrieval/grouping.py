"""Groups of items of which a ranking shows the best one: a product's images, near duplicates."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from tusou.core.arrays import Ids, Vectors
from tusou.indexes.base import SearchIndex
from tusou.retrieval.retriever import NeighborRequest, find_neighbors
from tusou.retrieval.selection import Selection

# Images whose vectors have at least this cosine look the same. With the demo model, 85 to 92 % of
# images that were resized, recompressed, cropped, marked or lit anew have it to their original, and
# 3 to 8 % of images among products in other colours and poses have it to another product: hiding a
# product is worse than showing an image twice. See `benchmarks/results/collapse.json`.
NEAR_DUPLICATE_COSINE = 0.98
# Neighbors of a hit that are first looked at for near duplicates, and then how many times as many.
_FIRST_NEIGHBORS, _MORE = 15, 4
# Rounding of an index's scores, and of scores from codes of one byte per dimension.
_SCORE_ERROR = 0.01

ReadVectors: TypeAlias = Callable[[Sequence[int]], Vectors]


class Grouping(Protocol):
    """Decides which items of a ranking are shown, and finds what they stand for."""

    def shown(self, keys: Sequence[int], count: int) -> list[int]:
        """Return the positions in a ranking of the first `count` items to show, ascending.

        They do not change when the ranking goes on.
        """
        ...

    def members(self, keys: Sequence[int], selection: Selection) -> list[Ids]:
        """Return the selected row keys that each shown item stands for, its own among them."""
        ...


class ValueGroups:
    """Items with the same value of an attribute; an item without a value is alone."""

    def __init__(self, codes: Ids) -> None:
        self._codes = codes  # (n,): equal values have equal codes
        self._order = np.argsort(codes, kind="stable")
        self._ordered = codes[self._order]

    def shown(self, keys: Sequence[int], count: int) -> list[int]:
        _, firsts = np.unique(self._codes[list(keys)], return_index=True)
        positions: list[int] = np.sort(firsts)[:count].tolist()
        return positions

    def members(self, keys: Sequence[int], selection: Selection) -> list[Ids]:
        codes = self._codes[list(keys)]
        starts = np.searchsorted(self._ordered, codes, "left").tolist()
        ends = np.searchsorted(self._ordered, codes, "right").tolist()
        groups = [self._order[start:end] for start, end in zip(starts, ends, strict=True)]
        return [group[selection.mask[group]] for group in groups]


class NearDuplicates:
    """Items whose vectors nearly agree with that of a better hit."""

    def __init__(
        self, index: SearchIndex, read_vectors: ReadVectors, as_query: Callable[[Vectors], Vectors]
    ) -> None:
        """`as_query` returns what the index is searched with for the cosines with a vector."""
        self._index, self._read, self._as_query = index, read_vectors, as_query

    def shown(self, keys: Sequence[int], count: int) -> list[int]:
        vectors = self._read(keys)
        positions: list[int] = []
        covered = np.zeros(len(keys), np.bool_)
        for position in range(len(keys)):
            if len(positions) == count:
                break
            if not covered[position]:
                positions.append(position)
                covered |= _cosines(vectors, vectors[position]) >= NEAR_DUPLICATE_COSINE
        return positions

    def members(self, keys: Sequence[int], selection: Selection) -> list[Ids]:
        """Search with each item's own vector; an approximate index may miss some."""
        vectors = dict(zip(keys, self._read(keys), strict=True))
        members: dict[int, Ids] = {}
        pending, count = list(vectors), _FIRST_NEIGHBORS
        while pending:
            requests = [
                NeighborRequest(self._as_query(vectors[key]), count, selection) for key in pending
            ]
            rankings = zip(pending, find_neighbors(self._index, requests), strict=True)
            for key, ranking in rankings:
                if ranking.complete or ranking.scores[-1] < NEAR_DUPLICATE_COSINE - _SCORE_ERROR:
                    members[key] = self._near(key, vectors[key], ranking.keys)
            pending, count = [key for key in pending if key not in members], count * _MORE
        return [members[key] for key in keys]

    def _near(self, key: int, vector: Vectors, candidates: Sequence[int]) -> Ids:
        keys = np.array([key, *(other for other in candidates if other != key)], np.int64)
        near: Ids = keys[_cosines(self._read(keys.tolist()), vector) >= NEAR_DUPLICATE_COSINE]
        return near


class BothGroupings:
    """Groups by value, of whose best items those that nearly agree are grouped again."""

    def __init__(self, values: ValueGroups, duplicates: NearDuplicates) -> None:
        self._values, self._duplicates = values, duplicates

    def shown(self, keys: Sequence[int], count: int) -> list[int]:
        best = self._values.shown(keys, len(keys))
        shown = self._duplicates.shown([keys[position] for position in best], count)
        return [best[position] for position in shown]

    def members(self, keys: Sequence[int], selection: Selection) -> list[Ids]:
        pairs = zip(
            self._values.members(keys, selection),
            self._duplicates.members(keys, selection),
            strict=True,
        )
        return [np.union1d(*pair) for pair in pairs]


def _cosines(vectors: Vectors, vector: Vectors) -> Vectors:
    """Return inner products that do not depend, to the last bit, on the number of rows."""
    cosines: Vectors = np.einsum("nd,d->n", vectors, vector)
    return cosines
