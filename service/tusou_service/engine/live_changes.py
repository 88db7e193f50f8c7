"""Live changes of items: grouped into writes of the log, and attached to each served version."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from tusou.attributes.filters import Filter
from tusou.core.errors import DeadlineExceeded, InputError, NotReady, StorageFull
from tusou.live.live_items import Encode
from tusou.live.operations import Batch
from tusou.live.snapshot import LiveSnapshot
from tusou.live.store import BatchResult, LiveStore
from tusou.retrieval.collection_writer import CollectionWriter
from tusou_service.engine.compaction import Compactor
from tusou_service.engine.interfaces import LiveOptions, Pipeline
from tusou_service.engine.pending_changes import (
    PendingBatches,
    PendingChange,
    PendingChanges,
    PendingDeletion,
)
from tusou_service.observability.metrics import Metrics

_log = logging.getLogger(__name__)

_LOADING = "The service is loading its index; try again shortly."
Result = TypeVar("Result")


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
        self._pending = PendingChanges()
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
        answer: asyncio.Future[list[BatchResult]] = asyncio.get_running_loop().create_future()
        return await self._answered(PendingBatches(batches, answer), answer, deadline)

    async def delete_where(self, selected: Filter, deadline: float) -> int:
        """Delete all items that pass a filter, as one batch; return their number.

        Raises InvalidRequest as `check_filter` does, and otherwise as `apply`.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await self._answered(PendingDeletion(selected, answer), answer, deadline)

    async def _answered(
        self, change: PendingChange, answer: "asyncio.Future[Result]", deadline: float
    ) -> Result:
        """Let a change wait for its write and return its answer."""
        if self._store is None:
            raise NotReady(_LOADING)
        self._pending.add(change)
        self._arrived.set()
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(answer)
        except TimeoutError:
            raise DeadlineExceeded("The time limit passed before the change was stored.") from None
        finally:  # if its caller has left before the write, nothing is written
            self._pending.discard(change)

    async def _write_all(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while change := self._pending.take():
                if isinstance(change, PendingDeletion):
                    await self._delete(change)
                else:
                    await self._write(change)
                assert self._store
                self._compactor.check(self._store.snapshot, self._store.log_bytes)

    async def _load_compacted(self) -> None:
        if self.reload:
            await self.reload()

    async def _delete(self, change: PendingDeletion) -> None:
        assert self._store
        loop = asyncio.get_running_loop()
        deletion = loop.run_in_executor(self._thread, self._store.delete_where, change.selected)
        await asyncio.wait([deletion])
        if error := deletion.exception():
            outcome = "invalid" if isinstance(error, InputError) else "refused"
            self._metrics.changes.labels(outcome).inc()
            _fail(change, error)
            return
        self._metrics.changes.labels("applied").inc(deletion.result())
        if not change.answer.done():
            change.answer.set_result(deletion.result())

    async def _write(self, changes: Sequence[PendingBatches]) -> None:
        assert self._store
        batches = [batch for change in changes for batch in change.batches]
        loop = asyncio.get_running_loop()
        write = loop.run_in_executor(self._thread, self._store.change_many, batches)
        await asyncio.wait([write])
        if error := write.exception():  # the callers get it, and the writer goes on
            self._metrics.changes.labels("refused").inc(sum(change.size for change in changes))
            for change in changes:
                _fail(change, error)
            return
        outcomes = iter(write.result())
        for change in changes:
            results = [next(outcomes) for _ in change.batches]
            if not change.answer.done():
                change.answer.set_result(results)
        for batch, result in zip(batches, write.result(), strict=True):
            applied = isinstance(result, list)
            self._metrics.changes.labels("applied" if applied else "invalid").inc(len(batch))


def _fail(change: PendingChange, error: BaseException) -> None:
    if not change.answer.done():
        change.answer.set_exception(error)
        change.answer.exception()  # read it: the caller may have left
