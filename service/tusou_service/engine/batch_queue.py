"""The queue of a micro-batcher: items of small calls come before those of large ones."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tusou_service.observability.stages import StageRecorder

T = TypeVar("T")
R = TypeVar("R")

# A call of at most this many items is small: a search rather than a file of queries.
_SMALL_CALL = 4
# Seconds after a small call for which batches of large calls stay short.
_SHORT_SECONDS = 1.0


def is_large_call(count: int) -> bool:
    """Return whether a call of `count` items waits behind the small ones."""
    return count > _SMALL_CALL


@dataclass(eq=False, slots=True)
class PendingItem(Generic[T, R]):
    """An item in the queue or in a batch, and the future of its result."""

    item: T
    deadline: float
    answer: "asyncio.Future[R]"
    enqueued: float  # by perf_counter
    recorder: StageRecorder | None  # of the request's trace
    is_large: bool = False  # whether its call is large

    @property
    def waits(self) -> bool:
        """Return whether a caller still waits for the result; any thread may read it."""
        return not self.answer.done()


class BatchQueue(Generic[T, R]):
    """Items that wait for a batch, in order within the small and within the large calls.

    A batch takes small calls first, but leaves at least half of its places to waiting large calls,
    so neither kind waits for all of the other.
    """

    def __init__(self) -> None:
        self._small: OrderedDict[PendingItem[T, R], None] = OrderedDict()
        self._large: OrderedDict[PendingItem[T, R], None] = OrderedDict()
        self._small_until = 0.0

    def __len__(self) -> int:
        return len(self._small) + len(self._large)

    @property
    def small(self) -> int:
        """The number of items of small calls."""
        return len(self._small)

    def add(self, items: Sequence[PendingItem[T, R]], now: float) -> None:
        for pending in items:
            (self._large if pending.is_large else self._small)[pending] = None
            if not pending.is_large:
                self._small_until = now + _SHORT_SECONDS

    def discard(self, pending: PendingItem[T, R]) -> None:
        (self._large if pending.is_large else self._small).pop(pending, None)

    def clear(self) -> list[PendingItem[T, R]]:
        """Remove and return all items."""
        items = [*self._small, *self._large]
        self._small.clear()
        self._large.clear()
        return items

    def next_items(self, size: int, short: int, now: float) -> Iterator[PendingItem[T, R]]:
        """Remove and return the items of the next batch of `size`.

        For a second after a small call, a batch has at most `short` items of large ones.
        """
        places = min(short, size) if self._small or now < self._small_until else size
        reserved = min(len(self._large), places, size // 2)
        small = min(len(self._small), size - reserved)
        large = min(len(self._large), places, size - small)
        yield from _remove(self._small, small)
        yield from _remove(self._large, large)


def _remove(items: OrderedDict[PendingItem[T, R], None], count: int) -> Iterator[PendingItem[T, R]]:
    for _ in range(count):
        yield items.popitem(last=False)[0]
