"""The stages of a bundle's searches after retrieval, as its manifest records them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_RERANK_DEPTH = 1000

_Count = Annotated[int, Field(ge=1, lt=2**62)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Factor = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]

QUERY_BANK, HUB_BIAS, CALIBRATION = "query_bank.npy", "hub_bias.npy", "calibration.json"
RERANK_VECTORS = "rerank_vectors.npy"  # (n, e) unit vectors of a larger model; zeros: none
CROSS_ENCODER, IMAGE_TOKENS = "reranker.pt", "image_tokens.npy"
RERANK_FILES = (RERANK_VECTORS, CROSS_ENCODER, IMAGE_TOKENS)


class StageRecord(BaseModel):
    """The settings of one stage."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class HubRecord(StageRecord):
    """Hub correction: the bias of an item is `alpha` times the mean of its `k` best cosines with
    the queries of a bank.
    """

    bank_sha256: _Digest
    bank_size: _Count
    k: _Count
    alpha: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]


class SoftmaxRecord(StageRecord):
    """Inverted softmax over the first `depth` items, against the queries of the bank."""

    depth: Annotated[int, Field(ge=1, le=MAX_RERANK_DEPTH)]
    beta: _Factor


class FeedbackRecord(StageRecord):
    """Pseudo-relevance feedback: the mean of the first `items` is added with `weight`."""

    items: Annotated[int, Field(ge=1, le=100)]
    weight: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


class RerankRecord(StageRecord):
    """A second score for the first items of a ranking."""

    kind: Literal["vectors", "cross_encoder", "endpoint"]
    model: str  # a name, a path or the address of an endpoint
    sha256: _Digest | None  # of its weights; None where they are elsewhere
    depth: Annotated[int, Field(ge=2, le=MAX_RERANK_DEPTH)]
    deadline_ms: Annotated[int, Field(ge=1, le=600_000)]
    weight: _Share  # items are ordered by (1 - weight) * cosine + weight * score
    options: dict[str, str | int | float] = {}


class CalibrationRecord(StageRecord):
    """The relevance of hits, fitted on judged queries; its parameters are in a file."""

    kind: Literal["logistic", "isotonic"]
    queries: _Count
    ece: _Share | None  # expected calibration error, on queries that fitted nothing
    auroc: _Share | None  # of telling queries without a correct item apart


class Stages(StageRecord):
    """The stages between index and answer; None stands for a stage that is not there."""

    hub: HubRecord | None = None
    softmax: SoftmaxRecord | None = None
    feedback: FeedbackRecord | None = None
    rerank: RerankRecord | None = None
    calibration: CalibrationRecord | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The stages that are there, in the order in which they run."""
        return tuple(name for name in Stages.model_fields if getattr(self, name) is not None)
