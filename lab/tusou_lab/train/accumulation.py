"""Steps of several batches, whose gradients are averaged before an update."""

from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

from tusou.core.errors import InvalidRequest
from tusou_lab.train.task import EpochBatches

B = TypeVar("B")


class AccumulatedBatches(Generic[B]):
    """The batches of each epoch, `count` in a step; an incomplete last step is dropped."""

    def __init__(self, batches: EpochBatches[B], count: int) -> None:
        """Raise InvalidRequest if an epoch has fewer batches than a step."""
        if len(batches) < count:
            raise InvalidRequest(
                f"--accumulate {count} needs {count} batches, but an epoch has {len(batches)}: "
                "give a smaller --batch-size or --accumulate"
            )
        self._batches, self._count = batches, count

    def __len__(self) -> int:
        """Count the steps of an epoch."""
        return len(self._batches) // self._count

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[B, ...]]:
        """Yield the steps of epoch `number`, beginning with step `start`."""
        batches = self._batches.epoch(number, start * self._count)
        for _ in range(start, len(self)):
            yield tuple(islice(batches, self._count))
