"""Filtered search of live items and of a version whose index selects items by itself."""

from typing import TYPE_CHECKING, cast

import numpy as np

from tusou.attributes.filters import Filter
from tusou.core.arrays import Neighbors, Vectors
from tusou.indexes.base import FilteringIndex, SearchIndex, best_first
from tusou.retrieval.live_biases import SnapshotBiases
from tusou.retrieval.live_index import SPARE, LiveIndex, Mask

if TYPE_CHECKING:  # imports pyarrow
    from tusou.live.snapshot import LiveSnapshot


class FilteringLiveIndex(LiveIndex):
    """A live index over one such as Milvus's, which knows the attributes that items had."""

    def search_where(self, queries: Vectors, k: int, selected: Filter) -> Neighbors:
        """Return the k best items per query that pass a filter now, ties by key."""
        snapshot = self._snapshot
        mask = snapshot.mask(selected)
        patched = snapshot.attributes.replaced_keys
        patched = patched[patched < snapshot.version_size]
        hidden = snapshot.removed.copy()
        hidden[patched] = True
        unchanged = self._search_unchanged(queries, k, selected, hidden)
        changed = self._index.search_among(queries, k, patched[mask[patched]])
        ids = np.hstack([unchanged.ids, changed.ids])
        of_version = best_first(ids, np.hstack([unchanged.scores, changed.scores]), k)
        return self._merge(queries, of_version, self._search_live(queries, k, mask), k)

    def _search_unchanged(
        self, queries: Vectors, k: int, selected: Filter, hidden: Mask
    ) -> Neighbors:
        """Search for items of the version that are not hidden: they are as the index knows them."""
        index = cast("FilteringIndex", self._index)
        selected = self._snapshot.attributes.of_version(selected)
        size = self._snapshot.version_size
        width = min(k + min(int(hidden.sum()), SPARE), size)
        while True:
            neighbors = index.search_where(queries, width, selected)
            shown = (neighbors.ids >= 0) & ~hidden[neighbors.ids]
            enough = np.count_nonzero(shown, axis=1) >= k
            if width == size or (enough | (neighbors.ids[:, -1] < 0)).all():
                break
            width = min(2 * width, size)
        ids = np.where(shown, neighbors.ids, -1)
        return best_first(ids, np.where(shown, neighbors.scores, np.float32(-np.inf)), k)


def open_live_index(
    index: SearchIndex, snapshot: "LiveSnapshot", biases: SnapshotBiases | None = None
) -> LiveIndex:
    """Return the index of a version with the live items of a snapshot."""
    live_index = FilteringLiveIndex if isinstance(index, FilteringIndex) else LiveIndex
    return live_index(index, snapshot, biases)
