"""One batch of queries and of texts to encode, answered on one pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

from tusou.core.arrays import Vectors
from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.query import Query
from tusou_service.engine.micro_batcher import PendingItem
from tusou_service.engine.served import Pipeline
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


def answer_batch(
    pipeline: Pipeline, callers: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> list[Result]:
    """Do each caller's job; results come in that order. Who has gone is not searched for."""
    asking = [one for one in callers if isinstance(one.item, Query)]
    texts = [one.item for one in callers if isinstance(one.item, str)]
    found = iter(_answer(pipeline, asking, metrics, arm) if asking else [])
    vectors = iter(_encode(pipeline, texts) if texts else [])
    return [next(found) if isinstance(one.item, Query) else next(vectors) for one in callers]


def _answer(
    pipeline: Pipeline, asking: Sequence[PendingItem[Job, Result]], metrics: Metrics, arm: str
) -> list[Found | Failed]:
    began = perf_counter()
    asks = [one.item for one in asking if isinstance(one.item, Query)]
    answers = pipeline.search(asks, lambda place: asking[place].waits)
    metrics.observe_batch(arm, len(asks), answers)
    times, version = answers.times, pipeline.bundle.version
    stages = (("tokenise", times.tokenise), ("encode", times.encode), ("search", times.search))
    run = BatchRun(len(asks), began, stages)
    return [
        Failed(one, version, run) if isinstance(one, TusouError) else Found(one, version, run)
        for one in answers.hits
    ]


def _encode(pipeline: Pipeline, texts: list[str]) -> list[TextVector]:
    began = perf_counter()
    embedded = pipeline.encode_texts(texts)
    run = BatchRun(len(texts), began, (("encode", perf_counter() - began),))
    version = pipeline.bundle.version
    return [
        TextVector(vector, tokens, version, run)
        for vector, tokens in zip(embedded.vectors, embedded.tokens, strict=True)
    ]
