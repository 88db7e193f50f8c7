"""A larger model's vectors of the items, compared with its vector of the query."""

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Self

import numpy as np

from tusou.bundle.model_record import Model, differing_fields
from tusou.bundle.rerank_vectors import QueryModel, open_rerank_vectors
from tusou.bundle.stages import RerankRecord
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Vectors
from tusou.core.errors import IncompatibleBundle, InvalidRequest
from tusou.core.memory_budget import check_memory
from tusou.encoders import (
    ModelWeights,
    TextEncoder,
    describe_encoder,
    find_weights,
    open_text_model,
    resolve_model,
)
from tusou.stages.base import RerankTask, ScoredPart, StageContext

_CACHED_QUERIES = 4096
_WARM_UP_TEXT = "纯棉碎花吊带裙"


class VectorReranker:
    """Scores items by their cosine with the query's text in the space of another model.

    An item without a vector has no score: it is not in the other model's bundle, or came live. So
    has every item of a query that has no text.
    """

    threads = 1  # one call of an encoder at a time

    def __init__(
        self, vectors: VectorFile, encoder: TextEncoder, depth: int, seconds: float, weight: float
    ) -> None:
        self.depth, self.seconds, self.weight = depth, seconds, weight
        self._vectors = vectors
        self._encode = lru_cache(_CACHED_QUERIES)(partial(_encode, encoder))
        self._encoder = encoder

    @classmethod
    def open(cls, context: StageContext, record: RerankRecord) -> Self:
        """Load the text tower; IncompatibleBundle, CorruptBundle, InsufficientMemory."""
        queries = QueryModel.of_record(record)
        weights = _find_weights(queries.model)
        # Lists are for the models of the bundle, which may be several.
        names = [
            name if "," not in name else "auto" for name in (context.precision, context.backend)
        ]
        resolved = resolve_model(weights, "text", context.device, *names)
        check_memory(resolved.min_memory)
        encoder = open_text_model(resolved, queries.prompts)
        vectors = open_rerank_vectors(context.bundle)
        if encoder.dim != vectors.dim:
            raise IncompatibleBundle("the vectors for reranking are not of this model's length")
        return cls(vectors, encoder, record.depth, record.deadline_ms / 1000, record.weight)

    def warm_up(self) -> None:
        """Run the slow first pass of the text tower."""
        self._encoder.warm_up()
        _encode(self._encoder, (_WARM_UP_TEXT,))

    def score(self, task: RerankTask, deadline: float) -> Iterator[ScoredPart]:  # noqa: ARG002
        """Yield all scores at once: neither the encoder nor the comparison can be interrupted."""
        keys = np.array(task.keys, np.int64)
        positions = np.flatnonzero(keys < len(self._vectors))  # keys of live items come later
        if not task.texts or not len(positions):
            return
        rows = self._vectors.rows(keys[positions])
        present = rows.any(axis=1)
        scores = rows[present] @ self._encode(task.texts)
        yield positions[present].tolist(), scores.tolist()


def _find_weights(model: Model) -> ModelWeights:
    """Find the weights of a model; IncompatibleBundle unless they made the vectors."""
    members = []
    for part in model.parts:
        try:
            weights = find_weights(part.location, source=part.source)
        except InvalidRequest as error:
            raise IncompatibleBundle(
                f"the weights for reranking ({part.name}) are not where they were. {error}"
            ) from None
        if weights.digest != part.sha256:
            raise IncompatibleBundle(
                f"the weights at {part.location} are not those that made the vectors for "
                "reranking; put them back, or give the vectors anew with tusou stages --rerank"
            )
        differing = differing_fields(part.encoder, describe_encoder(weights))
        if differing:
            raise IncompatibleBundle(
                f"the settings of {part.name}, for reranking, are others: {'; '.join(differing)}"
            )
        members.append(weights)
    return ModelWeights(tuple(members), tuple(part.weight for part in model.parts))


def _encode(encoder: TextEncoder, texts: tuple[str, ...]) -> Vectors:
    """Return the unit vector of a query's texts, (d,): of several, their mean's."""
    mean = encoder.encode(encoder.prepare(texts)).mean(axis=0)
    vector: Vectors = mean / max(float(np.linalg.norm(mean)), 1e-6)
    return vector
