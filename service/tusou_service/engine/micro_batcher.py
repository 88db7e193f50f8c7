"""Micro-batching of concurrent queries: a bounded queue in front of one worker thread."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, Self, TypeVar

from tusou.core.errors import (
    DeadlineExceeded,
    InputError,
    NotReady,
    Overloaded,
    TusouError,
    Unavailable,
)
from tusou_service.engine.batch_queue import BatchQueue, PendingItem, is_large_call
from tusou_service.engine.batch_times import BatchTimes, measure_batch_times, moving_average
from tusou_service.observability.stages import RECORDER

T = TypeVar("T")
R = TypeVar("R")

_SHORTEST_RETRY = 0.05
# The share of an item's time that the predicted wait may take: batches vary, and an answer that
# comes too late was computed in vain.
_WAIT_SHARE = 0.8
# A batch is given up after this many times the longest expected time: other processes may have
# the cores, too.
_STALL_FACTOR = 5


class QueueFull(Overloaded):
    """The queue is full, or too long for this deadline; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WorkerStalled(Unavailable):
    """A batch exceeds the time of a stall, and its thread is abandoned."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of the queue and of a batch."""

    max_batch: int
    max_waiting: int
    stall_after: float  # seconds
    target: float | None = None  # seconds from arrival to result; None: derived from batch times


class MicroBatcher(Generic[T, R]):
    """Collects concurrent items into batches for one worker thread.

    * Each item gets a result or an error. `run` returns one of them for each item of its batch; an
      error that it raises is the error of the whole batch, and the next batch runs as usual.
    * An item whose caller leaves, or whose deadline passes, is dropped from the queue. If its
      batch is running, `run` can see by `PendingItem.waits` that it need not go on.
    * The queue is bounded, and small calls are admitted only while they can expect results within
      the target: the latency of those that are admitted stays low under any load. Large calls,
      such as files of queries, wait behind them, see BatchQueue.
    * An item alone never waits for others: it runs at once if the thread is idle, and the items
      that arrive during a batch form the next one.
    * After a stall, an error for which `is_fatal` is true, or a thread that cannot be started,
      `failure` is set and no more items are accepted.

    Deadlines are on the clock of the event loop.
    """

    def __init__(
        self,
        run: Callable[[list[PendingItem[T, R]]], Sequence[R | TusouError]],
        limits: BatchLimits,
        is_fatal: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self.failure: Exception | None = None
        self._run, self._limits, self._is_fatal = run, limits, is_fatal
        self._queue = BatchQueue[T, R]()
        self._times = BatchTimes(limits.max_batch)
        self._running: list[PendingItem[T, R]] = []
        self._batch_seconds = 0.0
        self._longest_batch_seconds = 0.0
        self._arrived = asyncio.Event()
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work(), name="batch-worker")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        self._arrived.set()
        if self._worker:
            if self._running and not any(pending.waits for pending in self._running):
                self._worker.cancel()  # the batch may hang, and no caller waits for it
            await asyncio.wait([self._worker])
        self._thread.shutdown(wait=False)

    @property
    def alive(self) -> bool:
        """Return whether new items are accepted."""
        return bool(self._worker and not self._worker.done() and not self._closed)

    @property
    def idle(self) -> bool:
        """Return whether nothing waits and nothing runs."""
        return not self._queue and not self._running

    @property
    def depth(self) -> int:
        """The number of items that wait."""
        return len(self._queue)

    def admit(
        self, count: int, deadline: float, *, ahead: int = 0, is_large: bool | None = None
    ) -> None:
        """Raise if `count` more items cannot expect results in time; reserves nothing.

        `ahead` items are about to be enqueued. Raises NotReady, QueueFull, DeadlineExceeded.
        """
        if not self.alive:
            raise NotReady("The service cannot search now; try again shortly.")
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise DeadlineExceeded("The time limit passed before the search began.")
        # An idle thread takes everything: otherwise, after one slow batch, everything would be
        # refused and no batch would ever be measured again.
        if self.idle and not ahead:
            return
        is_large = is_large_call(count) if is_large is None else is_large
        waiting = ahead + (len(self._queue) if is_large else self._queue.small)
        wait = self._batch_seconds * self._batches(waiting + count, is_large)
        full = waiting > 0 and waiting + count > self._limits.max_waiting
        late = not is_large and self._latency(ahead + count) > self._target
        if full or late or wait > left * _WAIT_SHARE:
            # Jitter, so that refused clients do not all retry at once.
            pause = wait * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            raise QueueFull("The service is at capacity.", max(_SHORTEST_RETRY, pause))

    def _batches(self, count: int, is_large: bool) -> int:
        """Return the number of batches until the last of `count` waiting items has its result."""
        places = self._limits.max_batch
        if not is_large and len(self._queue) > self._queue.small:
            places = math.ceil(places / 2)
        return math.ceil(count / places) + bool(self._running)

    def _latency(self, count: int) -> float:
        """Return the expected latency of `count` more items of small calls, by these alone."""
        running = sum(not pending.is_large for pending in self._running)
        return self._times.of(running) + self._times.of(self._queue.small + count)

    @property
    def _target(self) -> float:
        return self._limits.target or self._times.target

    def measure_times(
        self, run: Callable[[int], object], longest_item: float | None = None
    ) -> None:
        """Measure batches of typical items: `run` computes one of a given size, and is warm.

        The time of a stall is derived from the longest item. Any thread may call it.
        """
        times = measure_batch_times(run, self._limits.max_batch)
        self._times = times
        longest = times.of(1) if longest_item is None else longest_item
        self._longest_batch_seconds = longest * self._limits.max_batch

    async def __call__(self, item: T, deadline: float) -> R:
        """Return the result of one item, or raise its error."""
        return (await self.all([item], deadline))[0]

    async def all(self, items: Sequence[T], deadline: float) -> list[R]:
        """Return the results in order, or raise the first error. Admits all items or none."""
        async with self._enqueued(items, deadline) as answers:
            return list(await asyncio.gather(*answers))

    async def each(self, items: Sequence[T], deadline: float) -> list[R | InputError]:
        """Return the result or the InputError of each item; raise the first error of other kinds.

        Admits all items or none.
        """
        async with self._enqueued(items, deadline) as answers:
            return list(await asyncio.gather(*map(_result_or_input_error, answers)))

    @asynccontextmanager
    async def _enqueued(
        self, items: Sequence[T], deadline: float
    ) -> AsyncIterator[list[asyncio.Future[R]]]:
        """Enqueue the items while the block waits for their answers, at most to the deadline."""
        self.admit(len(items), deadline)
        loop = asyncio.get_running_loop()
        enqueued, recorder = perf_counter(), RECORDER.get()
        is_large = is_large_call(len(items))
        batch = [
            PendingItem[T, R](item, deadline, loop.create_future(), enqueued, recorder, is_large)
            for item in items
        ]
        self._queue.add(batch, loop.time())
        self._arrived.set()
        timeout = asyncio.timeout_at(deadline)
        try:
            async with timeout:
                yield [pending.answer for pending in batch]
        except TimeoutError:
            if timeout.expired():
                raise DeadlineExceeded("The time limit passed before the search ended.") from None
            raise
        finally:
            for pending in batch:
                self._queue.discard(pending)
                pending.answer.cancel()  # the others, if one has failed

    async def _work(self) -> None:
        try:
            while not self._closed and not self.failure:
                await self._arrived.wait()
                self._arrived.clear()
                while not self._closed and not self.failure and (batch := self._take()):
                    await self._run_batch(batch)
        except Exception as error:  # noqa: BLE001 - a bug, or no thread: the server ends for it
            self._give_up(self._running, error)
        finally:
            _fail(self._queue.clear(), NotReady("The service is stopping; send the request again."))

    def _take(self) -> list[PendingItem[T, R]]:
        """Remove the next batch from the queue, and drop the items whose deadline has passed."""
        now, size = asyncio.get_running_loop().time(), self._limits.max_batch
        batch: list[PendingItem[T, R]] = []
        while self._queue and not batch:
            for pending in self._queue.next_items(size, self._times.efficient_size, now):
                if pending.deadline <= now:
                    error = DeadlineExceeded("The time limit passed before the search began.")
                    _fail([pending], error)
                elif pending.waits:
                    batch.append(pending)
        return batch

    async def _run_batch(self, batch: list[PendingItem[T, R]]) -> None:
        loop = asyncio.get_running_loop()
        started, self._running = perf_counter(), batch
        call = loop.run_in_executor(self._thread, self._run, batch)
        patience = max(self._limits.stall_after, self._longest_batch_seconds * _STALL_FACTOR)
        done, _ = await asyncio.wait([call], timeout=patience)
        self._running = []
        if not done:
            call.cancel()
            self._give_up(batch, WorkerStalled(f"A batch ran over {patience:g} s."))
            return
        seconds = perf_counter() - started
        self._batch_seconds = moving_average(self._batch_seconds or seconds, seconds)
        self._times.observe(len(batch), seconds)
        try:
            results = list(zip(batch, call.result(), strict=True))
        except Exception as error:  # noqa: BLE001 - the error belongs to the callers
            if self._is_fatal(error):
                self._give_up(batch, error)
            else:
                _fail(batch, error)
            return
        for pending, result in results:
            if isinstance(result, TusouError):
                _fail([pending], result)
            elif pending.waits:
                pending.answer.set_result(result)

    def _give_up(self, batch: list[PendingItem[T, R]], failure: Exception) -> None:
        self.failure = failure
        _fail(batch, NotReady("The service has failed and will restart; try again shortly."))


async def _result_or_input_error(answer: asyncio.Future[R]) -> R | InputError:
    try:
        return await answer
    except InputError as error:
        return error


def _fail(batch: list[PendingItem[T, R]], error: Exception) -> None:
    for pending in batch:
        if pending.waits:
            pending.answer.set_exception(error)
