"""What an error of the device means, and batches that outgrow its memory."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tusou.core.errors import OutOfMemory

T = TypeVar("T")
R = TypeVar("R")

# After one of these the CUDA context of the process is lost for good; only a restart helps.
_STICKY = ("CUDA error", "device-side assert", "CUBLAS_STATUS", "CUDNN_STATUS", "cudaError")

# Batches stay small for this long after one that did not fit: what filled the memory may go.
_CAUTIOUS_SECONDS = 60.0


def is_device_lost(error: Exception) -> bool:
    """Tell a lost device from a bad batch; running out of memory is neither."""
    text = str(error)
    return not is_out_of_memory(error) and any(sign in text for sign in _STICKY)


def is_out_of_memory(error: Exception) -> bool:
    """Recognise the errors of Python, torch and FAISS; torch's and FAISS's have no common type."""
    return isinstance(error, MemoryError) or "out of memory" in str(error)


class SplitOnOutOfMemory(Generic[T, R]):
    """Runs a batch, and again in halves when it does not fit the memory.

    OutOfMemory when even one item does not fit. Whatever `release` can give back is given back
    before each new attempt.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Sequence[R]],
        release: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._release, self._clock = run, release, clock
        self._cap: float = math.inf
        self._cautious_until = 0.0

    def __call__(self, items: list[T]) -> list[R]:
        """Return the answers in order."""
        if self._clock() >= self._cautious_until:
            self._cap = math.inf
        results: list[R] = []
        while len(results) < len(items):
            part = items[len(results) :][: int(min(self._cap, len(items)))]
            answered = self._attempt(part)
            if answered is not None:
                results += answered
                continue
            # Not in the except clause, whose traceback keeps the batch's tensors alive.
            self._release()
            if len(part) == 1:
                raise OutOfMemory("one query does not fit the memory; retry when others are done")
            self._cap = len(part) // 2
            self._cautious_until = self._clock() + _CAUTIOUS_SECONDS
        return results

    def _attempt(self, part: list[T]) -> Sequence[R] | None:
        try:
            return self._run(part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None
