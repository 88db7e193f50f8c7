"""Batches that run out of memory, and the classes of device errors."""

import pytest
import torch
from tusou_service.engine.batch_runner import BatchRunner
from tusou_service.engine.oom_retry import is_device_lost

from tusou.core.errors import OutOfMemory
from tusou.core.memory_budget import is_out_of_memory


class Device:
    """Doubles numbers, up to `capacity` at a time."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.batches: list[int] = []
        self.released = 0
        self.now = 0.0

    def run(self, items: list[int]) -> list[int]:
        self.batches.append(len(items))
        if len(items) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return [2 * item for item in items]

    def release(self) -> None:
        self.released += 1

    def halving(self) -> BatchRunner[int, int]:
        return BatchRunner(self.run, self.release, lambda: self.now)


@pytest.mark.parametrize(
    ("capacity", "count", "batches"),
    [
        (8, 8, [8]),
        (4, 8, [8, 4, 4]),
        (3, 8, [8, 4, 2, 2, 2, 2]),
        (1, 3, [3, 1, 1, 1]),
        (1, 0, [0]),
    ],
)
def test_halves_a_batch_until_it_fits(capacity: int, count: int, batches: list[int]) -> None:
    device = Device(capacity)
    assert device.halving()(list(range(count))) == list(range(0, 2 * count, 2))
    assert device.batches == batches
    assert device.released == sum(size > capacity for size in batches)


def test_keeps_batches_small_for_a_minute() -> None:
    device = Device(4)
    run = device.halving()
    run(list(range(8)))
    device.batches.clear()
    device.now = 59.0
    run(list(range(8)))
    assert device.batches == [4, 4]
    device.now, device.capacity = 61.0, 8
    run(list(range(8)))
    assert device.batches == [4, 4, 8]


def test_raises_if_one_item_does_not_fit() -> None:
    device = Device(0)
    with pytest.raises(OutOfMemory, match="retry"):
        device.halving()([1, 2])
    assert (device.batches, device.released) == ([2, 1], 2)


def test_raises_other_errors() -> None:
    def fail(_: list[int]) -> list[int]:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        BatchRunner(fail, lambda: None)([1, 2])


@pytest.mark.parametrize(
    ("error", "memory", "sticky"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True, False),
        (MemoryError("std::bad_alloc"), True, False),
        (RuntimeError("Error in cudaMalloc: cudaError 2 out of memory"), True, False),
        (RuntimeError("CUDA error: device-side assert triggered"), False, True),
        (RuntimeError("index out of range in self"), False, False),
    ],
)
def test_classifies_device_errors(error: Exception, memory: bool, sticky: bool) -> None:
    assert (is_out_of_memory(error), is_device_lost(error)) == (memory, sticky)
