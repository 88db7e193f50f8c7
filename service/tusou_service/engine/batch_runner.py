"""Runs batches on a pipeline: queries and texts to encode, in parts if the memory is short."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Generic, TypeAlias, TypeVar

from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.core.memory_budget import is_out_of_memory
from tusou.retrieval.query import Query
from tusou.retrieval.rerank_candidates import RerankCandidates
from tusou.retrieval.results import TextEmbeddings
from tusou_service.engine.batch_queue import PendingItem
from tusou_service.engine.interfaces import Pipeline
from tusou_service.engine.oom_retry import SplitOnOutOfMemory
from tusou_service.observability.metrics import Metrics

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ItemText:
    """A text to encode as an item, without the prompt of queries."""

    text: str


# A text is a job to encode it; its result is the embedding of this one text.
Job: TypeAlias = Query | str | ItemText
Result: TypeAlias = Hits | RerankCandidates | TextEmbeddings


class BatchRunner(Generic[T, R]):
    """Runs a batch, and runs it again in halves if it does not fit the memory.

    Before each new attempt, `release` returns cached memory.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Sequence[R]],
        release: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._run, self._clock = run, clock
        self._split = SplitOnOutOfMemory(run, release, clock)

    def __call__(self, batch: list[T]) -> Sequence[R]:
        """Return the results in order; OutOfMemory if not even one item fits."""
        if self._clock() >= self._split.small_until:
            try:
                return self._run(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the except clause, whose traceback keeps the batch's tensors alive.
            self._split.halve(len(batch))
        return self._split(batch)


def run_batch(
    pipeline: Pipeline, batch: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> list[Result | TusouError]:
    """Return the result or the error of each item, in order."""
    searches = [pending for pending in batch if isinstance(pending.item, Query)]
    texts = [pending for pending in batch if isinstance(pending.item, str)]
    items = [pending for pending in batch if isinstance(pending.item, ItemText)]
    results: dict[type, Iterator[Result | TusouError]] = {
        Query: iter(_search(pipeline, searches, metrics, arm) if searches else ()),
        str: iter(_encode(pipeline, texts) if texts else ()),
        ItemText: iter(_encode_items(pipeline, items) if items else ()),
    }
    return [next(results[type(pending.item)]) for pending in batch]


def _search(
    pipeline: Pipeline, batch: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> Sequence[Hits | RerankCandidates | TusouError]:
    started = perf_counter()
    queries = [pending.item for pending in batch if isinstance(pending.item, Query)]
    results = pipeline.retrieve(queries, lambda position: batch[position].waits)
    metrics.batch_size.labels(arm).observe(len(queries))
    metrics.cached_queries.labels(arm).inc(results.cache_hits)
    for stage, seconds in results.times.items():
        metrics.stage_seconds.labels(arm, stage).observe(seconds)
    record_stages(batch, started, tuple(results.times.items()))
    return results.outcomes


def _encode(
    pipeline: Pipeline, batch: Sequence[PendingItem[Job, Result]]
) -> Sequence[TextEmbeddings]:
    started = perf_counter()
    embedded = pipeline.encode_texts([str(pending.item) for pending in batch])
    record_stages(batch, started, (("encode", perf_counter() - started),))
    return embedded.split()


def _encode_items(
    pipeline: Pipeline, batch: Sequence[PendingItem[Job, Result]]
) -> Sequence[TextEmbeddings]:
    texts = [pending.item.text for pending in batch if isinstance(pending.item, ItemText)]
    return pipeline.encode_items(texts).split()


def record_stages(
    batch: Sequence[PendingItem[T, R]], started: float, stages: Sequence[tuple[str, float]]
) -> None:
    """Record the stages of a batch, in seconds, once for each traced request in it."""
    traced = {pending.recorder: pending.enqueued for pending in batch if pending.recorder}
    for recorder, enqueued in traced.items():
        recorder.record_batch(enqueued, started, len(batch), stages)
