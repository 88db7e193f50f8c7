"""Device errors: out of memory, which smaller batches survive, and a lost device."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tusou.core.errors import OutOfMemory
from tusou.core.memory_budget import is_out_of_memory

T = TypeVar("T")
R = TypeVar("R")

# After one of these errors the CUDA context of the process is lost; only a restart helps.
_DEVICE_LOST = ("CUDA error", "device-side assert", "CUBLAS_STATUS", "CUDNN_STATUS", "cudaError")

# Seconds that batches stay small after one that did not fit: other work may free its memory.
_SMALL_SECONDS = 60.0


def is_device_lost(error: Exception) -> bool:
    """Return whether the device is lost, not only out of memory or given a bad batch."""
    message = str(error)
    return not is_out_of_memory(error) and any(sign in message for sign in _DEVICE_LOST)


class SplitOnOutOfMemory(Generic[T, R]):
    """Runs a batch in parts, after one that did not fit the memory; halves them until they fit."""

    def __init__(
        self,
        run: Callable[[list[T]], Sequence[R]],
        release: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.small_until = 0.0  # until then, batches are run in parts
        self._run, self._release, self._clock = run, release, clock
        self._max_items = 0

    def __call__(self, items: list[T]) -> list[R]:
        """Return the results in order; OutOfMemory."""
        results: list[R] = []
        while len(results) < len(items):
            part = items[len(results) :][: self._max_items]
            try:
                results += self._run(part)
                continue
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the except clause, whose traceback keeps the batch's tensors alive.
            self.halve(len(part))
        return results

    def halve(self, size: int) -> None:
        """Make parts smaller than a batch of `size` that did not fit; OutOfMemory if that is 1."""
        self._release()
        if size == 1:
            raise OutOfMemory("one query does not fit the memory; retry when others are done")
        self._max_items = size // 2
        self.small_until = self._clock() + _SMALL_SECONDS
