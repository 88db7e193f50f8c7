"""Timings of a request's stages, recorded only while the request is traced."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class StageTiming:
    """One stage of a request; times are in seconds of `perf_counter`."""

    name: str
    started: float
    ended: float
    batch_size: int = 0  # 0: the stage is not batched


class StageRecorder:
    """The stages of one request so far; any thread may add to them."""

    def __init__(self) -> None:
        self.stages: list[StageTiming] = []

    def record(self, name: str, started: float) -> None:
        """Record a stage that ends now."""
        self.stages.append(StageTiming(name, started, perf_counter()))

    def record_batch(
        self, enqueued: float, started: float, size: int, stages: Sequence[tuple[str, float]]
    ) -> None:
        """Record the wait for a batch, and the seconds of its consecutive stages."""
        time = max(enqueued, started)
        self.stages.append(StageTiming("queue", enqueued, time))
        for name, seconds in stages:
            self.stages.append(StageTiming(name, time, time + seconds, size))
            time += seconds


# The recorder of the running task's request; None if it is not traced.
RECORDER: ContextVar[StageRecorder | None] = ContextVar("recorder", default=None)
