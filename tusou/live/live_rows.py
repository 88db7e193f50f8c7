"""Added items in order of arrival: append-only, so that snapshots share them with the writer."""

import numpy as np

from tusou.core.arrays import Ids, Vectors
from tusou.live.operations import ContentSpan

_LEAST_ROWS = 64


class LiveRows:
    """Ids, contents and vectors of added items. A slot never changes after it was published.

    A reader passes the number of slots that its snapshot has; the writer appends behind them.
    """

    def __init__(self, dim: int) -> None:
        self.ids: list[str] = []
        self.spans: list[ContentSpan] = []
        self._slots: dict[str, int] = {}  # the last slot of an id
        self._previous: list[int] = []  # the slot of the same id before, or -1
        self._vectors = np.empty((_LEAST_ROWS, dim), np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def append(self, item_id: str, span: ContentSpan, vector: Vectors | None) -> int:
        """Add an item and return its slot; a vector of None is set later."""
        slot = len(self.ids)
        if slot == len(self._vectors):
            # Snapshots keep the old array, which holds all the rows that they have.
            larger = np.empty((2 * slot, self._vectors.shape[1]), np.float32)
            larger[:slot] = self._vectors
            self._vectors = larger
        self._vectors[slot] = 0 if vector is None else vector
        self.spans.append(span)
        self._previous.append(self._slots.get(item_id, -1))
        self.ids.append(item_id)
        self._slots[item_id] = slot
        return slot

    def set_vectors(self, slots: list[int], vectors: Vectors) -> None:
        """Set vectors that were missing; only before the slots are published."""
        self._vectors[slots] = vectors

    def slot(self, item_id: str, count: int) -> int | None:
        """Return the last of the first `count` slots with an id."""
        slot = self._slots.get(item_id, -1)
        while slot >= count:
            slot = self._previous[slot]
        return slot if slot >= 0 else None

    def vectors(self, count: int) -> Vectors:
        """Return the vectors of the first `count` slots, (count, d), without a copy."""
        return self._vectors[:count]


class GrowingArray:
    """Numbers that are appended; `view` shares the memory with all later ones."""

    def __init__(self) -> None:
        self._array = np.empty(_LEAST_ROWS, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, number: int) -> None:
        if self._count == len(self._array):
            self._array = np.concatenate([self._array, np.empty(self._count, np.int64)])
        self._array[self._count] = number
        self._count += 1

    def view(self, count: int) -> Ids:
        """Return the first `count` numbers, which must not be changed."""
        return self._array[:count]
