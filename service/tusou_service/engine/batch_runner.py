"""Runs a mixed batch of queries and of texts to encode on one pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

from tusou.core.arrays import Vectors
from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.query import Query
from tusou_service.engine.interfaces import Pipeline
from tusou_service.engine.micro_batcher import PendingItem
from tusou_service.observability.metrics import Metrics
from tusou_service.observability.stages import BatchRun


@dataclass(frozen=True, slots=True)
class Found:
    """One query's answer, and the version of the index that gave it."""

    hits: Hits
    version: str
    run: BatchRun


@dataclass(frozen=True, slots=True, eq=False)
class TextVector:
    """One text's unit vector, and how many tokens of it were read."""

    vector: Vectors  # (d,)
    tokens: int
    version: str
    run: BatchRun


@dataclass(frozen=True, slots=True)
class Failed:
    """One query that cannot be answered, in a batch that can."""

    error: TusouError
    version: str
    run: BatchRun


Job: TypeAlias = Query | str  # a text is a job to encode it
Result: TypeAlias = Found | TextVector | Failed


def run_batch(
    pipeline: Pipeline, items: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> list[Result]:
    """Return the result of each item, in order."""
    queries = [item for item in items if isinstance(item.item, Query)]
    texts = [item.item for item in items if isinstance(item.item, str)]
    found = iter(_search(pipeline, queries, metrics, arm) if queries else [])
    vectors = iter(_encode(pipeline, texts) if texts else [])
    return [next(found) if isinstance(item.item, Query) else next(vectors) for item in items]


def _search(
    pipeline: Pipeline, items: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> list[Found | Failed]:
    started = perf_counter()
    queries = [item.item for item in items if isinstance(item.item, Query)]
    results = pipeline.search(queries, lambda position: items[position].waits)
    metrics.observe_batch(arm, len(queries), results)
    times, version = results.times, pipeline.bundle.version
    stages = (("tokenise", times.tokenise), ("encode", times.encode), ("search", times.search))
    run = BatchRun(len(queries), started, stages)
    return [
        Failed(hits, version, run) if isinstance(hits, TusouError) else Found(hits, version, run)
        for hits in results.hits
    ]


def _encode(pipeline: Pipeline, texts: list[str]) -> list[TextVector]:
    started = perf_counter()
    embedded = pipeline.encode_texts(texts)
    run = BatchRun(len(texts), started, (("encode", perf_counter() - started),))
    version = pipeline.bundle.version
    return [
        TextVector(vector, tokens, version, run)
        for vector, tokens in zip(embedded.vectors, embedded.tokens, strict=True)
    ]
