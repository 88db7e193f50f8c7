"""Stages of a search after retrieval; the libraries of a stage are imported when it is opened."""

from typing import Any, cast

from tusou.bundle.stages import RerankRecord
from tusou.core.lazy_import import LazyImport
from tusou.stages.base import Reranker, StageContext

_RERANKERS = {
    "vectors": LazyImport("tusou.stages.vector_reranker:VectorReranker"),
    "cross_encoder": LazyImport("tusou.stages.cross_encoder:CrossEncoderReranker"),
    "endpoint": LazyImport("tusou.stages.endpoint_reranker:EndpointReranker"),
}


def open_reranker(context: StageContext, record: RerankRecord) -> Reranker:
    """Load the reranker that a manifest records.

    Its class has `open(context, record)`. Raises CorruptBundle, IncompatibleBundle and
    InsufficientMemory.
    """
    reranker_class = cast("Any", _RERANKERS[record.kind].load())
    return cast("Reranker", reranker_class.open(context, record))
