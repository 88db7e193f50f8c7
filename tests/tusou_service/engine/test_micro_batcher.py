"""MicroBatcher: one test per promise; gates fix the order of events."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tusou_service.engine.batch_queue import PendingItem
from tusou_service.engine.micro_batcher import (
    BatchLimits,
    MicroBatcher,
    QueueFull,
    WorkerStalled,
)

from tusou.core.errors import DeadlineExceeded, NotReady, TusouError, UnknownItem


@dataclass
class Doubler:
    """Doubles numbers; each batch waits for the gate, and a 13 raises an error."""

    gate: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.started.set()
        assert self.gate.wait(20)
        if 13 in items:
            raise ValueError("CUDA error: an illegal memory access was encountered")
        return [2 * item for item in items]


@asynccontextmanager
async def batching(
    run: Callable[[list[int]], list[int]],
    *,
    max_batch: int = 4,
    max_waiting: int = 8,
    stall_after: float = 20,
    target: float | None = 20,
    is_fatal: Callable[[Exception], bool] = lambda _: False,
) -> AsyncIterator[MicroBatcher[int, int]]:
    limits = BatchLimits(max_batch, max_waiting, stall_after, target)

    def unpacked(batch: list[PendingItem[int, int]]) -> list[int]:
        return run([pending.item for pending in batch])

    async with MicroBatcher(unpacked, limits, is_fatal) as batcher:
        yield batcher


def soon(seconds: float = 20) -> float:
    return asyncio.get_running_loop().time() + seconds


async def begun(run: Doubler, batcher: MicroBatcher[int, int], item: int) -> asyncio.Task[int]:
    """Start one item and return once its batch is running."""
    task = asyncio.create_task(batcher(item, soon()))
    assert await asyncio.to_thread(run.started.wait, 5)
    return task


async def queued(
    batcher: MicroBatcher[int, int], *items: int, deadline: float | None = None
) -> list[asyncio.Task[int]]:
    """Start items one after the other and return once they all wait."""
    before = batcher.depth
    tasks = [asyncio.create_task(batcher(item, deadline or soon())) for item in items]
    while batcher.depth < before + len(items):  # noqa: ASYNC110 - no event tells the depth
        await asyncio.sleep(0)
    return tasks


async def test_a_single_item_runs_at_once_and_later_items_form_the_next_batch() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        first = await begun(run, batcher, 1)
        rest = await queued(batcher, 2, 3, 4)
        run.gate.set()
        assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert run.batches == [[1], [2, 3, 4]]


async def test_batches_are_bounded_and_the_queue_is_in_order() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        first = await begun(run, batcher, 0)
        rest = await queued(batcher, 1, 2, 3, 4, 5, 6)
        run.gate.set()
        await asyncio.gather(first, *rest)
    assert run.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_results_of_one_call_are_in_order() -> None:
    run = Doubler()
    run.gate.set()
    async with batching(run) as batcher:
        assert await batcher.all([5, 6, 7, 8, 9, 10], soon()) == [10, 12, 14, 16, 18, 20]
    assert [len(batch) for batch in run.batches] == [4, 2]


async def test_an_item_cancelled_in_the_queue_is_never_run_and_affects_no_other() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        first = await begun(run, batcher, 1)
        leaver, stayer = await queued(batcher, 2, 3)
        leaver.cancel()
        await asyncio.wait([leaver])
        assert batcher.depth == 1
        run.gate.set()
        assert await asyncio.gather(first, stayer) == [2, 6]
    assert run.batches == [[1], [3]]


async def test_an_item_cancelled_in_its_batch_affects_no_other() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        leaver = await begun(run, batcher, 1)
        (stayer,) = await queued(batcher, 2)
        leaver.cancel()
        run.gate.set()
        assert await stayer == 4
        assert await batcher(3, soon()) == 6


async def test_a_failed_batch_does_not_affect_the_next() -> None:
    run = Doubler()
    run.gate.set()
    async with batching(run) as batcher:
        with pytest.raises(ValueError, match="illegal memory access"):
            await batcher(13, soon())
        assert await batcher(4, soon()) == 8


async def test_too_few_results_are_an_error_of_that_batch() -> None:
    async with batching(lambda items: items[1:]) as batcher:
        with pytest.raises(ValueError, match="shorter"):
            await batcher(1, soon())
        assert batcher.alive


async def test_the_queue_is_bounded() -> None:
    run = Doubler()
    async with batching(run, max_waiting=3) as batcher:
        first = await begun(run, batcher, 0)
        waiting = await queued(batcher, 1, 2)
        with pytest.raises(QueueFull) as refused:
            await batcher.all([3, 4], soon())
        assert refused.value.retry_after >= 0.05
        assert batcher.depth == 2  # both were refused, not one
        run.gate.set()
        assert await asyncio.gather(first, *waiting) == [0, 2, 4]


async def test_an_empty_queue_takes_a_call_larger_than_its_limit() -> None:
    run = Doubler()
    run.gate.set()
    async with batching(run, max_waiting=3) as batcher:
        assert await batcher.all([1, 2, 3, 4, 5], soon()) == [2, 4, 6, 8, 10]


async def test_an_item_whose_deadline_passes_in_the_queue_is_never_run() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        first = await begun(run, batcher, 1)
        (late,) = await queued(batcher, 2, deadline=soon(0.05))
        with pytest.raises(DeadlineExceeded):
            await late
        assert batcher.depth == 0
        run.gate.set()
        assert await first == 2
        assert await batcher(3, soon()) == 6
    assert run.batches == [[1], [3]]


async def test_an_item_with_a_past_deadline_is_not_queued() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        with pytest.raises(DeadlineExceeded):
            await batcher(1, soon(-0.001))
    assert run.batches == []


async def test_refuses_at_once_if_the_predicted_wait_is_too_long() -> None:
    run = Doubler()
    async with batching(run, max_batch=1) as batcher:
        slow = await begun(run, batcher, 1)
        await asyncio.sleep(0.05)  # the measured time of a batch
        run.gate.set()
        await slow
        run.gate.clear()
        run.started.clear()
        first = await begun(run, batcher, 2)
        with pytest.raises(QueueFull):
            await batcher(3, soon(0.04))
        waiting = await queued(batcher, 4)
        run.gate.set()
        assert await asyncio.gather(first, *waiting) == [4, 8]


async def test_an_idle_worker_takes_an_item_even_after_a_slow_batch() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        slow = await begun(run, batcher, 1)
        await asyncio.sleep(0.05)
        run.gate.set()
        await slow
        assert await batcher(2, soon(0.04)) == 4


async def test_closing_fails_the_items_that_still_wait() -> None:
    run = Doubler()
    async with batching(run) as batcher:
        first = await begun(run, batcher, 1)
        (waiting,) = await queued(batcher, 2)
        asyncio.get_running_loop().call_later(0.01, run.gate.set)
    assert await first == 2
    with pytest.raises(NotReady):
        await waiting
    with pytest.raises(NotReady):
        await batcher(3, soon())
    assert not batcher.alive


async def test_a_stalled_batch_fails_all_items() -> None:
    run = Doubler()
    async with batching(run, stall_after=0.05) as batcher:
        hanging = await begun(run, batcher, 1)
        (waiting,) = await queued(batcher, 2)
        results = await asyncio.gather(hanging, waiting, return_exceptions=True)
        assert [type(result) for result in results] == [NotReady, NotReady]
        assert isinstance(batcher.failure, WorkerStalled)
        assert not batcher.alive
        run.gate.set()


async def test_a_slow_machine_gets_more_time_before_a_stall() -> None:
    run = Doubler()
    async with batching(run, stall_after=0.01) as batcher:
        batcher.measure_times(lambda _: None, longest_item=1.0)
        slow = await begun(run, batcher, 1)
        await asyncio.sleep(0.05)
        run.gate.set()
        assert await slow == 2
        assert batcher.failure is None


async def test_the_first_error_of_a_call_cancels_its_other_items() -> None:
    failed = threading.Event()
    waited: list[bool] = []

    def run(batch: list[PendingItem[int, int]]) -> list[int]:
        if batch[0].item == 13:
            raise ValueError("bad luck")
        if batch[0].item == 2:
            assert failed.wait(5)
        waited.extend(pending.waits for pending in batch)
        return [pending.item for pending in batch]

    async with MicroBatcher(run, BatchLimits(1, 8, 20)) as batcher:
        with pytest.raises(ValueError, match="bad luck"):
            await batcher.all([13, 2], soon())
        failed.set()
        assert await batcher(3, soon()) == 3
    assert waited == [False, True]


async def test_a_thread_that_cannot_be_started_ends_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    run = Doubler()
    async with batching(run) as batcher:
        monkeypatch.setattr(batcher._thread, "submit", refuse)
        with pytest.raises(NotReady):
            await batcher(1, soon())
        assert "start new thread" in str(batcher.failure)
        assert not batcher.alive


async def test_a_fatal_error_ends_the_worker() -> None:
    run = Doubler()
    run.gate.set()
    async with batching(run, is_fatal=lambda error: "CUDA error" in str(error)) as batcher:
        with pytest.raises(NotReady):
            await batcher(13, soon())
        assert isinstance(batcher.failure, ValueError)
        with pytest.raises(NotReady):
            await batcher(1, soon())


async def test_an_error_of_one_item_does_not_fail_the_batch() -> None:
    def run(batch: list[PendingItem[int, int]]) -> list[int | TusouError]:
        return [UnknownItem("13") if item.item == 13 else 2 * item.item for item in batch]

    async with MicroBatcher(run, BatchLimits(4, 8, 20)) as batcher:
        results = await asyncio.gather(
            *(batcher(item, soon()) for item in (1, 13, 2)), return_exceptions=True
        )
        assert [results[0], results[2]] == [2, 4]
        assert isinstance(results[1], UnknownItem)
        with pytest.raises(UnknownItem):
            await batcher.all([1, 13, 13], soon())
        assert (batcher.alive, batcher.failure) == (True, None)


def takes(fixed: float, per_item: float) -> Callable[[int], None]:
    """Return the work of a batch that takes these seconds."""
    return lambda count: time.sleep(fixed + per_item * count)


async def test_small_calls_are_refused_beyond_the_target_and_idle_threads_take_any() -> None:
    run = Doubler()
    async with batching(run, max_batch=64, max_waiting=99, target=None) as batcher:
        batcher.measure_times(takes(0.0, 0.02))
        first = await begun(run, batcher, 0)
        # 5 times a batch of 4 that takes 80 ms: some 20 items, of which one runs.
        waiting = await queued(batcher, *range(100, 110))
        with pytest.raises(QueueFull) as refused:
            batcher.admit(1, soon(), ahead=12)
        assert refused.value.retry_after >= 0.05
        run.gate.set()
        await asyncio.gather(first, *waiting)
        batcher.admit(1, soon())


async def test_the_target_can_be_set() -> None:
    run = Doubler()
    async with batching(run, target=0.1) as batcher:
        batcher.measure_times(takes(0.2, 0.0))  # more than the target: idle, it is taken anyway
        first = await begun(run, batcher, 1)
        with pytest.raises(QueueFull):
            await batcher(2, soon())
        run.gate.set()
        assert await first == 2
        assert await batcher(3, soon()) == 6


async def test_small_calls_come_before_large_ones_which_keep_half_of_each_batch() -> None:
    run = Doubler()
    async with batching(run, max_batch=4, max_waiting=99) as batcher:
        first = await begun(run, batcher, 0)
        large = asyncio.create_task(batcher.all(range(100, 106), soon()))
        while batcher.depth < 6:  # noqa: ASYNC110
            await asyncio.sleep(0)
        small = await queued(batcher, 1, 2, 3)
        run.gate.set()
        assert await asyncio.gather(first, *small) == [0, 2, 4, 6]
        assert await large == [2 * item for item in range(100, 106)]
    assert run.batches == [[0], [1, 2, 100, 101], [3, 102, 103, 104], [105]]


async def test_large_calls_do_not_count_for_the_target_of_small_ones() -> None:
    run = Doubler()
    async with batching(run, max_batch=64, max_waiting=999, target=None) as batcher:
        batcher.measure_times(takes(0.0, 0.02))
        large = asyncio.create_task(batcher.all(range(100, 190), soon()))
        assert await asyncio.to_thread(run.started.wait, 5)
        (small,) = await queued(batcher, 7)
        run.gate.set()
        assert await small == 14
        assert len(await large) == 90
    # Beside a small call, large ones get short batches.
    assert [len(batch) for batch in run.batches][:2] == [64, 5]
