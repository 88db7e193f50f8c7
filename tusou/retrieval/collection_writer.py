"""Writes live changes into an index on a server, in a thread of its own."""

import logging
from threading import Event, Thread
from typing import TYPE_CHECKING

from tusou.bundle.biased_vectors import add_bias
from tusou.core.errors import TusouError
from tusou.indexes.item_changes import IndexedItem, ItemChange, ItemChanges
from tusou.retrieval.live_biases import LiveBiases

if TYPE_CHECKING:  # imports pyarrow
    from tusou.live.live_items import LiveItems
    from tusou.live.snapshot import LiveSnapshot

_log = logging.getLogger(__name__)

_ITEMS = 100  # in one call
_PAUSE_SECONDS = 2.0  # after a failed call


class CollectionWriter:
    """Keeps the changes in an index in step with those of a version's live items.

    Changes are written after they are in the log. What an outage of the server keeps from being
    written is written when the server answers again, also after a restart: the server has the
    position up to which changes are written. Each item is written in its latest state, so nothing
    is lost when a call was carried out without an answer.
    """

    def __init__(
        self, items: "LiveItems", changes: ItemChanges, previous: "CollectionWriter | None" = None
    ) -> None:
        """Start the thread; it begins when `previous`, which has been told to stop, has ended."""
        self._items, self._changes, self._previous = items, changes, previous
        bundle = items.bundle
        self._biases = None if bundle.hub_bias is None else LiveBiases(bundle)
        self._position: int | None = None  # of the last change written; None: not yet known
        self._pending: dict[str, None] = {}  # ids of changed items, in the order of their changes
        self._failed = False
        self._wake, self._stopped = Event(), Event()
        items.on_published = self._wake.set
        self._thread = Thread(target=self._run, name="collection-writer", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> int:
        """The number of changes in the log, as positions, that the server does not have yet."""
        base = self._items.bundle.manifest.live_position
        return self._items.snapshot.position - (base if self._position is None else self._position)

    def stop(self) -> None:
        """Tell the thread to end, without waiting for it; a write in progress ends."""
        self._stopped.set()
        self._wake.set()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _run(self) -> None:
        if self._previous:
            self._previous.join()
            self._previous = None
        while True:
            self._wake.clear()
            if self._stopped.is_set():
                return
            try:
                self._write()
            except (TusouError, OSError) as error:  # the server, or a file of the bundle
                if not self._failed:
                    _log.warning("live changes wait in the log: %s", error)
                self._failed = True
                self._stopped.wait(_PAUSE_SECONDS)
                continue
            if self._failed:
                _log.warning("the index's server has all live changes again")
                self._failed = False
            self._wake.wait()

    def _write(self) -> None:
        """Write all changes of the latest snapshot."""
        snapshot = self._items.snapshot
        if self._position is None:
            base = snapshot.bundle.manifest.live_position
            self._position = self._changes.begin(base, snapshot.position)
        self._collect(snapshot.position, self._position)
        while self._pending and not self._stopped.is_set():
            ids = list(self._pending)[:_ITEMS]
            self._changes.write(_states(snapshot, ids, self._biases))
            for item_id in ids:
                del self._pending[item_id]
        if not self._pending and snapshot.position > self._position:
            self._changes.set_position(snapshot.position)
            self._position = snapshot.position

    def _collect(self, last: int, after: int) -> None:
        """Take the ids of the items that were changed behind a position, up to `last`."""
        changed = self._items.changed
        assert changed is not None
        while changed and changed[0][0] <= last:
            position, item_id = changed.popleft()
            if position > after:
                self._pending[item_id] = None


def _states(
    snapshot: "LiveSnapshot", ids: list[str], biases: LiveBiases | None
) -> list[ItemChange]:
    bundle = snapshot.bundle
    keys = [snapshot.find(item_id) for item_id in ids]
    before = [bundle.ids.key(item_id) for item_id in ids]
    known = [key for key in keys if key is not None]
    replaced = [key for key in before if key is not None]
    vectors = snapshot.vectors(known)
    if biases is not None:
        vectors = add_bias(vectors, biases.of(snapshot).by_key[known])
    rows = iter(map(IndexedItem, vectors, snapshot.attribute_rows(known)))
    table = bundle.attributes
    old_attributes = table.rows(replaced) if table else [{} for _ in replaced]
    old_rows = iter(map(IndexedItem, bundle.index_vectors.rows(replaced), old_attributes))
    return [
        ItemChange(
            item_id,
            None if key is None else next(rows),
            None if version_key is None else (version_key, next(old_rows)),
        )
        for item_id, key, version_key in zip(ids, keys, before, strict=True)
    ]
