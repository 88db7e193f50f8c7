"""The store of live changes: checks them, logs them, and shows them over the served versions."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from tusou.attributes.filters import Filter
from tusou.bundle.bundle import Bundle
from tusou.core.errors import IncompatibleBundle, InputError
from tusou.live.live_items import Encode, LiveItems
from tusou.live.log import LiveLog
from tusou.live.operations import Batch, ContentSpan, Delete, LoggedBatch, Operation
from tusou.live.snapshot import LiveSnapshot
from tusou.live.staging import ChangeOutcome, CheckAttributes, Staging

# The outcomes of the operations of a batch, or the error for which it was left out.
BatchResult: TypeAlias = list[ChangeOutcome] | InputError


class LiveStore:
    """The only writer of a bundle's live changes. Safe for threads; searches wait for nothing.

    Versions are attached while they are served. A change is checked against the version attached
    last, and is seen in all of them.
    """

    def __init__(
        self,
        root: Path,
        bundle: Bundle,
        encode: Encode | None = None,
        check: CheckAttributes | None = None,
    ) -> None:
        """Open the log of the bundle at `root` and attach a version.

        `encode` encodes the contents of items whose vectors are of another model. `check` refuses
        attributes that the next version could not hold. Raises as `LiveLog` does, and
        IncompatibleBundle as `attach` does.
        """
        self._check = check
        self._lock, self._attaching = Lock(), Lock()
        self._log = LiveLog(root, at_least=bundle.manifest.live_position)
        self._versions: dict[str, LiveItems] = {}
        with ExitStack() as stack:
            stack.callback(self._log.close)
            self._current = self.attach(bundle, encode)
            stack.pop_all()

    @property
    def items(self) -> LiveItems:
        """The version attached last."""
        return self._current

    @property
    def snapshot(self) -> LiveSnapshot:
        """The version attached last, with all changes."""
        return self._current.snapshot

    @property
    def position(self) -> int:
        """The position of the last change on the disk."""
        return self._log.position

    @property
    def torn_bytes(self) -> int:
        """The bytes of an incomplete record that opening the log has cut."""
        return self._log.torn_bytes

    @property
    def log_bytes(self) -> int:
        """The size of the log."""
        return self._log.size

    def attach(self, bundle: Bundle, encode: Encode | None = None) -> LiveItems:
        """Show the changes over another version too; changes go on meanwhile.

        Its snapshot is current from the return on, until `detach`. Raises IncompatibleBundle when
        the log lacks changes that the version needs, or items must be encoded without `encode`.
        """
        with self._attaching:
            items = LiveItems(bundle, self._read, encode)
            items.replay(self._log.changes(items.position))
            with self._lock:
                items.replay(self._log.changes(items.position))
                self._versions[bundle.version] = self._current = items
            return items

    def detach(self, version: str) -> None:
        """Stop to show changes over a version, whose last snapshot stays as it is."""
        with self._lock:
            if version != self._current.bundle.version:
                self._versions.pop(version, None)

    def trim(self) -> None:
        """Cut the records that all attached versions hold; OSError leaves the log as it is."""
        with self._attaching, self._lock:
            self._log.trim(
                min(items.bundle.manifest.live_position for items in self._versions.values())
            )

    def change(self, *operations: Operation) -> list[ChangeOutcome]:
        """Apply operations as a whole: durable, and visible to the next search, at the return.

        Raises InvalidRequest, UnknownItem, PreconditionFailed, and StorageFull when the disk
        refuses; then nothing is changed.
        """
        result = self.change_many([operations])[0]
        if isinstance(result, InputError):
            raise result
        return result

    def change_many(self, batches: Sequence[Batch]) -> list[BatchResult]:
        """Apply batches, each as a whole or not at all, with one write to the disk.

        A batch is checked after those before it. Raises StorageFull when the disk refuses; then
        none is applied.
        """
        with self._lock:
            staging = Staging(self._current.snapshot, self._check)
            results: list[BatchResult] = []
            stored: list[Batch] = []
            for batch in batches:
                try:
                    operations, outcomes = staging.stage(batch)
                except InputError as error:
                    results.append(error)
                    continue
                results.append(outcomes)
                if operations:
                    stored.append(operations)
            if stored:
                self._apply(self._log.position + 1, self._log.append(stored))
            return results

    def delete_where(self, selected: Filter) -> int:
        """Delete all items that pass a filter, as one batch; return their number.

        No change can come between the look and the deletion. Raises InvalidRequest as
        `check_filter` does, and StorageFull; then nothing is deleted.
        """
        with self._lock:
            snapshot = self._current.snapshot
            items = snapshot.ids(snapshot.mask(selected), limit=snapshot.size)
            if items:
                batch = [Delete(str(item_id)) for _, item_id in items]
                self._apply(self._log.position + 1, self._log.append([batch]))
            return len(items)

    def _apply(self, first: int, batches: Sequence[LoggedBatch]) -> None:
        for version, items in list(self._versions.items()):
            for position, batch in enumerate(batches, first):
                items.apply(position, batch)
            try:
                items.publish()
            except IncompatibleBundle:  # a version about to be detached, of another model
                if items is self._current:
                    raise
                del self._versions[version]

    def _read(self, span: ContentSpan) -> bytes:
        return self._log.read(span)

    def close(self) -> None:
        """Release the log to other processes; snapshots can still be searched."""
        with self._lock:
            self._log.close()
