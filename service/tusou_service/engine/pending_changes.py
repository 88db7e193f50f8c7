"""The queue of changes that wait for a write of the log."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tusou.attributes.filters import Filter
from tusou.core.errors import Overloaded
from tusou.live.operations import Batch
from tusou.live.store import BatchResult

# Operations that may wait for a write, and those of one write.
MAX_WAITING, MAX_WRITE = 4096, 1024


@dataclass(eq=False, slots=True)
class PendingBatches:
    """Batches of one caller, and the future of their outcomes."""

    batches: Sequence[Batch]
    answer: "asyncio.Future[list[BatchResult]]"

    @property
    def size(self) -> int:
        """The number of operations."""
        return sum(map(len, self.batches))


@dataclass(eq=False, slots=True)
class PendingDeletion:
    """A deletion by filter, and the future of the number of deleted items.

    It counts as one operation: which items pass is known when it is written.
    """

    selected: Filter
    answer: "asyncio.Future[int]"
    size: int = 1


PendingChange: TypeAlias = PendingBatches | PendingDeletion


class PendingChanges:
    """Changes in the order of their arrival, with a bound on their operations."""

    def __init__(self) -> None:
        self._changes: deque[PendingChange] = deque()

    def add(self, change: PendingChange) -> None:
        """Append a change; Overloaded when too many operations wait."""
        if sum(each.size for each in self._changes) + change.size > MAX_WAITING:
            raise Overloaded("Too many changes at once.")
        self._changes.append(change)

    def discard(self, change: PendingChange) -> None:
        """Remove a change if it still waits."""
        if change in self._changes:
            self._changes.remove(change)

    def take(self) -> PendingDeletion | list[PendingBatches]:
        """Remove and return the changes of the next write; an empty list if none waits.

        Batches up to the next deletion by filter are written together, a deletion by itself.
        """
        batches: list[PendingBatches] = []
        size = 0
        while self._changes:
            change = self._changes[0]
            if isinstance(change, PendingDeletion):
                if batches:
                    break
                self._changes.popleft()
                return change
            if batches and size + change.size > MAX_WRITE:
                break
            self._changes.popleft()
            batches.append(change)
            size += change.size
        return batches
