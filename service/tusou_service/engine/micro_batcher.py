"""Callers come in one by one and leave in batches: the micro-batcher."""

import asyncio
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, Self, TypeVar

from tusou.core.errors import DeadlineExceeded, NotReady, Overloaded, Unavailable

T = TypeVar("T")
R = TypeVar("R")

# How much the newest batch counts in the measured batch time.
_NEWEST = 0.3
_SHORTEST_RETRY = 0.05
# How much of a caller's time a predicted wait may take: batches differ, and an answer that comes
# too late was computed for nothing.
_MARGIN = 0.8
# A batch is given up when it takes so many times the longest that was foreseen: other work may
# have the processor, too.
_PATIENCE = 5


class QueueFull(Overloaded):
    """The queue is full, or too long for this caller; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WorkerStalled(Unavailable):
    """A batch has run for so long that its thread must be given up."""


@dataclass(eq=False, slots=True)
class PendingItem(Generic[T, R]):
    """Who waits for the answer to one item."""

    item: T
    deadline: float
    answer: "asyncio.Future[R]"

    @property
    def waits(self) -> bool:
        """Whether the answer is still wanted; the batch's thread may ask, too."""
        return not self.answer.done()


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much waits and runs at once; seconds."""

    max_batch: int
    max_waiting: int
    stall_after: float


@dataclass(frozen=True, slots=True)
class QueueState:
    """What stands before one more caller: seconds to wait, and whether the queue is full."""

    wait: float = 0.0
    full: bool = False

    def admit(self, deadline: float) -> None:
        """Raise unless an answer can be expected in time."""
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise DeadlineExceeded("The time limit passed before the search began.")
        if self.full or self.wait > left * _MARGIN:
            # Jitter, so that refused callers do not come back together.
            pause = self.wait * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            raise QueueFull("The service is at capacity.", max(_SHORTEST_RETRY, pause))


class MicroBatcher(Generic[T, R]):
    """Gathers concurrent callers into batches for one worker thread.

    Four promises: every caller gets an answer or an error; a caller who leaves, or whose deadline
    passes, touches nobody and costs nothing unless its batch has begun, and then no more than
    until `run` asks whether it still waits; a bad batch never stops the next; the queue is
    bounded. It never waits while the thread is idle: an item alone leaves at once, and what
    arrives while a batch runs forms the next one. Deadlines are on the clock of the event loop.
    After a stall, an error that `is_fatal` knows or a thread that cannot be started, `failure`
    says why and nothing is accepted any more.
    """

    def __init__(
        self,
        run: Callable[[list[PendingItem[T, R]]], Sequence[R]],
        limits: BatchLimits,
        is_fatal: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        self.failure: Exception | None = None
        self._run, self._limits, self._is_fatal = run, limits, is_fatal
        self._waiting: OrderedDict[PendingItem[T, R], None] = OrderedDict()
        self._running: list[PendingItem[T, R]] = []
        self._batch_seconds = 0.0
        self._longest = 0.0
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
            if self._running and not any(job.waits for job in self._running):
                self._worker.cancel()  # its batch may hang, and nobody waits for it any more
            await asyncio.wait([self._worker])
        self._thread.shutdown(wait=False)

    @property
    def alive(self) -> bool:
        """Whether a caller who came now would be served."""
        return bool(self._worker and not self._worker.done() and not self._closed)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._running

    @property
    def depth(self) -> int:
        """Count the items that wait."""
        return len(self._waiting)

    def admit(self, count: int, deadline: float) -> None:
        """Raise unless `count` more items can expect an answer in time; reserves nothing."""
        if not self.alive:
            raise NotReady("The service cannot search now; try again shortly.")
        self.pressure(count).admit(deadline)

    def pressure(self, count: int = 1) -> QueueState:
        """Say what stands before `count` more items; an empty queue has room for any."""
        waiting = len(self._waiting)
        full = waiting > 0 and waiting + count > self._limits.max_waiting
        return QueueState(self._predicted_wait(count), full)

    def set_expected_item_time(self, item_seconds: float) -> None:
        """Know how long the longest item takes, before a batch is thought to hang."""
        self._longest = item_seconds * self._limits.max_batch

    async def __call__(self, item: T, deadline: float) -> R:
        """Return the answer to one item, or raise what `run` raised for its batch."""
        return (await self.all([item], deadline))[0]

    async def all(self, items: Sequence[T], deadline: float) -> list[R]:
        """Return the answers in order; all items are admitted, or none."""
        self.admit(len(items), deadline)
        loop = asyncio.get_running_loop()
        jobs = [PendingItem[T, R](item, deadline, loop.create_future()) for item in items]
        for job in jobs:
            self._waiting[job] = None
        self._arrived.set()
        timeout = asyncio.timeout_at(deadline)
        try:
            async with timeout:
                return list(await asyncio.gather(*(job.answer for job in jobs)))
        except TimeoutError:
            if timeout.expired():
                raise DeadlineExceeded("The time limit passed before the search ended.") from None
            raise
        finally:
            for job in jobs:
                self._waiting.pop(job, None)
                job.answer.cancel()  # where the first error of several has come out already

    def _predicted_wait(self, count: int) -> float:
        """Seconds until `count` items that came now would be answered; 0 when nothing is ahead.

        An idle worker takes anything: otherwise one slow batch would have everything refused,
        and nothing would ever be measured again.
        """
        if not self._running and not self._waiting:
            return 0.0
        batches = math.ceil((len(self._waiting) + count) / self._limits.max_batch)
        return self._batch_seconds * (batches + bool(self._running))

    async def _work(self) -> None:
        try:
            while not self._closed and not self.failure:
                await self._arrived.wait()
                self._arrived.clear()
                while not self._closed and not self.failure and (jobs := self._take()):
                    await self._answer(jobs)
        except Exception as error:  # noqa: BLE001 - whoever runs the process ends it for this
            self._give_up(self._running, error)  # a bug, or a thread that cannot be started
        finally:
            waiting = list(self._waiting)
            self._waiting.clear()
            _fail(waiting, NotReady("The service is stopping; send the request again."))

    def _take(self) -> list[PendingItem[T, R]]:
        """Remove the next batch from the queue, without those whose time is over."""
        now = asyncio.get_running_loop().time()
        jobs: list[PendingItem[T, R]] = []
        while self._waiting and len(jobs) < self._limits.max_batch:
            job, _ = self._waiting.popitem(last=False)
            if not job.waits:
                continue
            if job.deadline <= now:
                _fail([job], DeadlineExceeded("The time limit passed before the search began."))
                continue
            jobs.append(job)
        return jobs

    async def _answer(self, jobs: list[PendingItem[T, R]]) -> None:
        loop = asyncio.get_running_loop()
        started, self._running = perf_counter(), jobs
        call = loop.run_in_executor(self._thread, self._run, jobs)
        patience = max(self._limits.stall_after, self._longest * _PATIENCE)
        done, _ = await asyncio.wait([call], timeout=patience)
        self._running = []
        if not done:
            call.cancel()
            self._give_up(jobs, WorkerStalled(f"A batch ran over {patience:g} s."))
            return
        self._measure(perf_counter() - started)
        try:
            pairs = list(zip(jobs, call.result(), strict=True))
        except Exception as error:  # noqa: BLE001 - the callers, not the worker, own this error
            if self._is_fatal(error):
                self._give_up(jobs, error)
            else:
                _fail(jobs, error)
            return
        for job, result in pairs:
            if job.waits:
                job.answer.set_result(result)

    def _measure(self, seconds: float) -> None:
        known = self._batch_seconds or seconds
        self._batch_seconds = known + _NEWEST * (seconds - known)

    def _give_up(self, jobs: list[PendingItem[T, R]], failure: Exception) -> None:
        self.failure = failure
        _fail(jobs, NotReady("The service has failed and will restart; try again shortly."))


def _fail(jobs: list[PendingItem[T, R]], error: Exception) -> None:
    for job in jobs:
        if job.waits:
            job.answer.set_exception(error)
