"""Timings of a request's stages, recorded only while the request is traced."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StageTiming:
    """One stage of a request; times are in seconds of `perf_counter`."""

    name: str
    started: float
    ended: float
    batch_size: int = 0  # 0: the stage is not batched


@dataclass(frozen=True, slots=True, eq=False)
class BatchRun:
    """One batch: its size, its start, and the seconds of its consecutive stages."""

    size: int
    started: float
    stages: tuple[tuple[str, float], ...]


# The stages of the running task's request; None if it is not traced.
_STAGES: ContextVar[list[StageTiming] | None] = ContextVar("stages", default=None)


def start_recording() -> list[StageTiming]:
    """Record the stages of this task's request from now on, in the returned list."""
    stages: list[StageTiming] = []
    _STAGES.set(stages)
    return stages


def record_stage(name: str, started: float) -> None:
    """Record a stage that ends now."""
    stages = _STAGES.get()
    if stages is not None:
        stages.append(StageTiming(name, started, perf_counter()))


def record_batches(enqueued: float, runs: Iterable[BatchRun]) -> None:
    """Record the wait since `enqueued` and the stages of each batch that ran the request's jobs."""
    stages = _STAGES.get()
    if stages is None:
        return
    for run in {id(run): run for run in runs}.values():
        time = max(enqueued, run.started)
        stages.append(StageTiming("queue", enqueued, time))
        for name, seconds in run.stages:
            stages.append(StageTiming(name, time, time + seconds, run.size))
            time += seconds


class RequestTrace(Protocol):
    """The trace of one request."""

    @property
    def id(self) -> str:
        """The trace id in 32 hexadecimal digits."""
        ...

    def end(self, *, method: str, route: str, status: int, request_id: str) -> None:
        """End the trace now; its spans are sent later."""
        ...


class Tracer(Protocol):
    """`tusou_service.observability.tracing.SpanTracer`, which needs the extra `otel`."""

    def begin(self, headers: Mapping[str, str], started: float) -> RequestTrace | None:
        """Trace this task's request, which started then; None if it is not sampled."""
        ...

    def close(self) -> None:
        """Send the remaining spans; blocks for a moment at most."""
        ...
