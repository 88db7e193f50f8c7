"""Live changes of items: grouped into writes of the log, and attached to each served version."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from tusou.attributes.filters import Filter
from tusou.core.errors import DeadlineExceeded, NotReady, Overloaded, StorageFull
from tusou.live.live_items import Encode
from tusou.live.operations import Batch
from tusou.live.snapshot import LiveSnapshot
from tusou.live.store import BatchResult, LiveStore
from tusou.retrieval.collection_writer import CollectionWriter
from tusou_service.engine.compaction import Compactor
from tusou_service.engine.interfaces import LiveOptions, Pipeline
from tusou_service.observability.metrics import Metrics

_log = logging.getLogger(__name__)

_LOADING = "The service is loading its index; try again shortly."
# Operations that may wait for a write, and those of one write.
MAX_WAITING, MAX_WRITE = 4096, 1024


@dataclass(eq=False, slots=True)
class _PendingChange:
    batches: Sequence[Batch]
    answer: "asyncio.Future[list[BatchResult]]"

    @property
    def size(self) -> int:
        return sum(map(len, self.batches))


class LiveChanges:
    """The only writer of a bundle's live changes.

    Calls that arrive during a write are written together, with one flush of the disk. A change is
    answered when it is on the disk; the next search sees it. When changes have become many, they
    are compacted, and `reload` is called.
    """

    def __init__(self, options: LiveOptions, metrics: Metrics) -> None:
        self.reload: Callable[[], Awaitable[object]] | None = None  # after a compaction
        self._root, self._metrics = options.root, metrics
        self._compactor = Compactor(options, self._load_compacted)
        self._store: LiveStore | None = None
        self._index_writer: CollectionWriter | None = None
        self._waiting: list[_PendingChange] = []
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live-log")
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_all(), name="live-log")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await self._compactor.stop()
        self._thread.shutdown(wait=True)  # a write in progress ends
        if self._index_writer:
            self._index_writer.stop()
        if self._store:
            self._store.close()

    @property
    def snapshot(self) -> LiveSnapshot | None:
        """The version attached last, with all changes; None while the first loads."""
        return self._store.snapshot if self._store else None

    def attach(self, pipeline: Pipeline, encode: Encode) -> None:
        """Show the changes in a new pipeline's searches, in the loader's thread.

        `encode` encodes contents with the pipeline's model. Raises Locked when another process
        writes the log, and CorruptBundle and IncompatibleBundle as `LiveStore` does.
        """
        index = pipeline.changeable_index
        if self._store is None:
            check = index.check_attributes if index else None
            self._store = LiveStore(self._root, pipeline.bundle, encode, check)
            if self._store.torn_bytes:
                fields = {"bytes": self._store.torn_bytes}
                _log.warning("an incomplete record was cut from the log", extra={"fields": fields})
            live = self._store.items
        else:
            live = self._store.attach(pipeline.bundle, encode)
        pipeline.attach_live(live)
        previous = self._index_writer
        if previous:  # its collection, of which the alias is gone, gets no more changes
            previous.stop()
        self._index_writer = None
        if index:
            writer = CollectionWriter(live, index.open_changes(), previous)
            self._index_writer, self._metrics.collection_behind = writer, lambda: writer.behind

    def detach(self, version: str) -> None:
        """Forget a version that is no longer served, and cut the log, in the loader's thread."""
        if self._store is None:
            return
        self._store.detach(version)
        try:
            self._store.trim()
        except (OSError, StorageFull) as error:  # the log only stays longer than it must
            _log.warning("the log could not be cut: %s", error)

    async def apply(self, batches: Sequence[Batch], deadline: float) -> list[BatchResult]:
        """Apply batches, each as a whole or not at all; return their outcomes in order.

        Raises Overloaded when too many changes wait, StorageFull when the disk refuses, and
        DeadlineExceeded; after that, a write that had begun may still be applied.
        """
        if self._store is None:
            raise NotReady(_LOADING)
        loop = asyncio.get_running_loop()
        change = _PendingChange(batches, loop.create_future())
        if sum(each.size for each in self._waiting) + change.size > MAX_WAITING:
            raise Overloaded("Too many changes at once.")
        self._waiting.append(change)
        self._arrived.set()
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(change.answer)
        except TimeoutError:
            raise DeadlineExceeded("The time limit passed before the change was stored.") from None
        finally:
            if change in self._waiting:  # its caller has left, and nothing is written
                self._waiting.remove(change)

    async def delete_where(self, selected: Filter, deadline: float) -> int:
        """Delete all items that pass a filter, as one batch; return their number.

        Raises InvalidRequest as `check_filter` does, and otherwise as `apply`.
        """
        if self._store is None:
            raise NotReady(_LOADING)
        loop = asyncio.get_running_loop()
        deletion = loop.run_in_executor(self._thread, self._store.delete_where, selected)
        try:
            async with asyncio.timeout_at(deadline):
                deleted = await asyncio.shield(deletion)
        except TimeoutError:
            raise DeadlineExceeded("The time limit passed before the change was stored.") from None
        self._metrics.changes.labels("applied").inc(deleted)
        return deleted

    async def _write_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while changes := self._next_changes():
                await self._write(changes)
                assert self._store
                self._compactor.check(self._store.snapshot, self._store.log_bytes)

    async def _load_compacted(self) -> None:
        if self.reload:
            await self.reload()

    def _next_changes(self) -> list[_PendingChange]:
        """Remove and return the changes of the next write; those of callers who left are gone."""
        changes: list[_PendingChange] = []
        size = 0
        while self._waiting and (not changes or size + self._waiting[0].size <= MAX_WRITE):
            changes.append(self._waiting.pop(0))
            size += changes[-1].size
        return changes

    async def _write(self, changes: Sequence[_PendingChange]) -> None:
        assert self._store
        batches = [batch for change in changes for batch in change.batches]
        loop = asyncio.get_running_loop()
        write = loop.run_in_executor(self._thread, self._store.change_many, batches)
        await asyncio.wait([write])
        if error := write.exception():  # the callers get it, and the writer goes on
            self._metrics.changes.labels("refused").inc(sum(change.size for change in changes))
            for change in changes:
                _answer(change, error)
            return
        outcomes = iter(write.result())
        for change in changes:
            _answer(change, [next(outcomes) for _ in change.batches])
        for batch, result in zip(batches, write.result(), strict=True):
            applied = isinstance(result, list)
            self._metrics.changes.labels("applied" if applied else "invalid").inc(len(batch))


def _answer(change: _PendingChange, result: list[BatchResult] | BaseException) -> None:
    if change.answer.done():
        return
    if isinstance(result, BaseException):
        change.answer.set_exception(result)
        change.answer.exception()  # nobody may be waiting any more
    else:
        change.answer.set_result(result)
