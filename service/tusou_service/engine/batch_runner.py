"""Runs a mixed batch of queries and of texts to encode on one pipeline."""

from collections.abc import Sequence
from time import perf_counter
from typing import TypeAlias

from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.query import Query
from tusou.retrieval.results import TextEmbeddings
from tusou_service.engine.interfaces import Pipeline
from tusou_service.engine.micro_batcher import PendingItem
from tusou_service.observability.metrics import Metrics
from tusou_service.observability.stages import BatchRun

# A text is a job to encode it; its result is the embedding of this one text.
Job: TypeAlias = Query | str
Result: TypeAlias = Hits | TextEmbeddings


def run_batch(
    pipeline: Pipeline, batch: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> list[Result | TusouError]:
    """Return the result or the error of each item, in order."""
    searches = [pending for pending in batch if isinstance(pending.item, Query)]
    texts = [pending for pending in batch if isinstance(pending.item, str)]
    hits = iter(_search(pipeline, searches, metrics, arm) if searches else ())
    embeddings = iter(_encode(pipeline, texts) if texts else ())
    return [next(hits if isinstance(pending.item, Query) else embeddings) for pending in batch]


def _search(
    pipeline: Pipeline, batch: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> Sequence[Hits | TusouError]:
    started = perf_counter()
    queries = [pending.item for pending in batch if isinstance(pending.item, Query)]
    results = pipeline.search(queries, lambda position: batch[position].waits)
    metrics.observe_batch(arm, len(queries), results)
    times = results.times
    stages = (("tokenise", times.tokenise), ("encode", times.encode), ("search", times.search))
    run = BatchRun(len(queries), started, stages)
    for pending in batch:
        pending.run = run
    return results.hits


def _encode(
    pipeline: Pipeline, batch: Sequence[PendingItem[Job, Result]]
) -> Sequence[TextEmbeddings]:
    started = perf_counter()
    embedded = pipeline.encode_texts([str(pending.item) for pending in batch])
    run = BatchRun(len(batch), started, (("encode", perf_counter() - started),))
    for pending in batch:
        pending.run = run
    return embedded.split()
