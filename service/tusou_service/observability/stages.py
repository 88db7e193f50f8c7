"""When each stage of a request began and ended, kept only where somebody follows the request."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StageTiming:
    """One stage of a request; both ends in seconds of `perf_counter`."""

    name: str
    began: float
    ended: float
    batch: int = 0  # how many jobs went through the stage together; 0: it is not done in batches


@dataclass(frozen=True, slots=True, eq=False)
class BatchRun:
    """One batch in its thread: how many jobs, when it began, the seconds of each stage in turn."""

    size: int
    began: float
    stages: tuple[tuple[str, float], ...]


# Of the request that the running task answers; None for one that nobody follows.
_STAGES: ContextVar[list[StageTiming] | None] = ContextVar("stages", default=None)


def follow() -> list[StageTiming]:
    """Have the stages of this task's request recorded from now on, in the list returned."""
    stages: list[StageTiming] = []
    _STAGES.set(stages)
    return stages


def mark(name: str, began: float) -> None:
    """Record a stage that ends now."""
    stages = _STAGES.get()
    if stages is not None:
        stages.append(StageTiming(name, began, perf_counter()))


def mark_batches(asked: float, runs: Iterable[BatchRun]) -> None:
    """Record what became of jobs that began to wait at `asked`: the queue, then each stage."""
    stages = _STAGES.get()
    if stages is None:
        return
    for run in {id(run): run for run in runs}.values():
        moment = max(asked, run.began)
        stages.append(StageTiming("queue", asked, moment))
        for name, seconds in run.stages:
            stages.append(StageTiming(name, moment, moment + seconds, run.size))
            moment += seconds


class Trace(Protocol):
    """One request that is followed."""

    @property
    def id(self) -> str:
        """Name the trace, in 32 hexadecimal digits."""
        ...

    def end(self, *, method: str, route: str, status: int, request_id: str) -> None:
        """Say how the request ended, now; the spans go out later."""
        ...


class Tracer(Protocol):
    """Follows requests: `tusou_service.observability.tracing.SpanTracer`, when tracing is on."""

    def begin(self, headers: Mapping[str, str], began: float) -> Trace | None:
        """Follow the request of this task, which began then, unless it is one that is left out."""
        ...

    def close(self) -> None:
        """Send what is left, for a moment."""
        ...
