"""The items of a version as they are now, with live changes once they are attached."""

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from tusou.bundle.bundle import Bundle
from tusou.indexes.base import SearchIndex
from tusou.retrieval.filtering_live_index import open_live_index
from tusou.retrieval.item_view import ItemView, VersionView
from tusou.retrieval.live_biases import LiveBiases
from tusou.retrieval.searched_items import SearchedItems
from tusou.stages.softmax_stage import SoftmaxStage

if TYPE_CHECKING:  # imports pyarrow, which only live changes and attributes need
    from tusou.live.live_items import LiveItems
    from tusou.live.snapshot import LiveSnapshot

_CACHED_SNAPSHOTS = 4


class CurrentItems:
    """Opens the items of a view for searches; a view of another version is replaced by `view`."""

    def __init__(self, bundle: Bundle, index: SearchIndex) -> None:
        self._bundle = bundle
        self._live: LiveItems | None = None
        bias = bundle.hub_bias
        biases = None if bias is None else LiveBiases(bundle)
        record, nearest = bundle.manifest.stages.softmax, bundle.nearest_items
        softmax = None
        if record is not None and nearest is not None:
            softmax = SoftmaxStage(record, bundle.query_bank, nearest)
        self._of_version = SearchedItems(VersionView(bundle), index, bias, softmax)
        # A function of the index, not a method: a cycle would keep a replaced version in memory.
        self._of_snapshot = lru_cache(_CACHED_SNAPSHOTS)(
            partial(_open_snapshot, index, biases, softmax)
        )

    def attach_live(self, live: "LiveItems") -> None:
        """Show the items with their live changes from now on."""
        self._live = live

    @property
    def view(self) -> ItemView:
        """The items as they are now; any thread may read it."""
        return self._live.snapshot if self._live else self._of_version.view

    def of(self, view: ItemView) -> SearchedItems:
        """Return the items of a view, with caches that the next searches of it share."""
        if self._live is None:
            return self._of_version
        return self._of_snapshot(view if view.bundle is self._bundle else self.view)


def _open_snapshot(
    index: SearchIndex,
    biases: LiveBiases | None,
    softmax: SoftmaxStage | None,
    snapshot: "LiveSnapshot",
) -> SearchedItems:
    if biases is None:
        return SearchedItems(snapshot, open_live_index(index, snapshot))
    of_snapshot = biases.of(snapshot)
    live_index = open_live_index(index, snapshot, of_snapshot)
    return SearchedItems(snapshot, live_index, of_snapshot.by_key, softmax)
