"""Response bodies."""

from typing import Literal

from pydantic import BaseModel, Field

from tusou.attributes.schema import FEW_VALUES, AttributeType, AttributeValue
from tusou.core.hits import UNKNOWN_LANGUAGE
from tusou.core.ids import ItemId, ItemKind
from tusou_service.http.errors import PROBLEM_TYPES
from tusou_service.http.stage_fields import StageScores
from tusou_service.images.query_encoder import ImageState


class ModelCard(BaseModel):
    """A model in OpenAI's format."""

    id: str = Field(description="The model's name.")
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "tusou"


class ModelList(BaseModel):
    """The model that encodes queries."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class EmbeddingItem(BaseModel):
    """The vector of one input."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="The position of the input.")
    embedding: list[float] | str = Field(description="Numbers, or little-endian float32 in base64.")


class TokenUsage(BaseModel):
    """The number of tokens of the texts; images have none."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    """The vectors, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str
    usage: TokenUsage


class InterpretedQuery(BaseModel):
    """The reading of a query that refuses something."""

    positive: str
    negative: str = Field(description="What is refused; several things are joined by 、.")


class FacetValue(BaseModel):
    """A value of an attribute, and the number of items that have it."""

    value: AttributeValue
    count: int


class SearchResult(StageScores):
    """One query's items, best first."""

    item_ids: tuple[ItemId, ...] = Field(description="Fewer than top_k when the index holds fewer.")
    scores: tuple[float, ...] = Field(
        description="Cosines of the items, descending unless a stage has changed the order."
    )
    truncated: bool = Field(description="Whether the query was longer than the model's context.")
    interpreted: InterpretedQuery | None = Field(
        None, description="Present when the query was understood to refuse something."
    )
    unknown_share: float | None = Field(
        None,
        description="Present above 0: the share of the query's text that the text tower does not "
        f"know. From {UNKNOWN_LANGUAGE} on the query is most likely in a language that it does not "
        "read, and the hits mean little.",
    )
    attributes: tuple[dict[str, AttributeValue], ...] | None = Field(
        None, description="Parallel to item_ids: the attributes named in fields."
    )
    others: tuple[int, ...] | None = Field(
        None,
        description="Parallel to item_ids, with distinct or collapse: how many more items share "
        "the value, or are near duplicates.",
    )


class _FilterCounts(BaseModel):
    facets: dict[str, tuple[FacetValue, ...]] | None = Field(
        None, description="By attribute: the most frequent values of the items that pass."
    )
    matching_items: int | None = Field(None, description="With a filter: how many items pass it.")


class ProblemDetail(BaseModel):
    """One fault of a request, and its location."""

    loc: list[str | int]
    type: str
    detail: str | None = None


class _ProblemFields(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    code: str = Field(json_schema_extra={"enum": [*sorted({cls.code for cls in PROBLEM_TYPES})]})
    errors: list[ProblemDetail] | None = None


class QueryProblem(_ProblemFields):
    """The problem of one query of a batch; `code` is stable."""


class QueryFailure(BaseModel):
    """The outcome of a bad query in a partial batch."""

    problem: QueryProblem


class _AnsweredRequest(BaseModel):
    index_version: str = Field(description="The version of the bundle that answered.")
    took_ms: float = Field(description="Milliseconds from the parsed request to the response.")
    version_changed: Literal[True] | None = Field(
        None, description="Present when the request named another version."
    )


class SearchResponse(_AnsweredRequest, _FilterCounts, SearchResult):
    """The answer to one query."""


class BatchResponse(_AnsweredRequest, _FilterCounts):
    """The answers to a batch, in its order."""

    results: tuple[SearchResult | QueryFailure, ...]


class HealthResponse(BaseModel):
    """The process runs."""

    status: str = "alive"


class ReadyResponse(BaseModel):
    """The service takes requests."""

    status: str = "ready"
    index_version: str
    images: ImageState = Field(description="Whether queries can have images.")


class ReloadedArmResponse(BaseModel):
    """The result of a reload for the second bundle."""

    status: str = Field(description="swapped, unchanged, or, in the shadow, failed")
    index_version: str | None = None
    previous_version: str | None = None


class ReloadResponse(BaseModel):
    """The result of a reload."""

    status: str = Field(description="swapped or unchanged")
    index_version: str
    previous_version: str
    b: ReloadedArmResponse | None = Field(
        None, description="Present when a second bundle is served."
    )


class ItemResponse(BaseModel):
    """An item's text, or the path of its image."""

    item_id: ItemId
    text: str | None = None
    image: str | None = None
    attributes: dict[str, AttributeValue] | None = Field(
        None, description="Absent if the index has no attributes."
    )


class ListedItem(BaseModel):
    """An item of a list."""

    item_id: ItemId
    attributes: dict[str, AttributeValue] | None = Field(
        None, description="Absent if the index has no attributes."
    )


class ItemsResponse(BaseModel):
    """A page of items, in the order of the pool."""

    items: tuple[ListedItem, ...]
    matching_items: int = Field(description="How many items pass the filter, on all pages.")
    next: ItemId | None = Field(
        None, description="The value of `after` for the next page; absent on the last one."
    )
    index_version: str = Field(description="The version of the bundle that answered.")


class RandomScores(BaseModel):
    """The score that one in a hundred random pairs of a query and an item reaches."""

    text: float | None = Field(
        description="For a query of one text without a refusal; null where none can be encoded."
    )
    image: float | None = Field(
        description="For a query of one image; null where that is not known."
    )
    item: float | None = Field(description="For a query of one item; null in a pool of one.")


class ModelInfo(BaseModel):
    """A model whose vectors are served."""

    name: str
    family: str = Field(description="Such as chinese-clip, clip or siglip.")
    license: str | None = Field(
        description="The licence that the model's files name; null if they do not."
    )
    non_commercial: bool = Field(description="Whether that licence forbids commercial use.")


class StudentInfo(BaseModel):
    """A student that encodes the texts of queries in place of the model."""

    name: str
    size: Literal["table", "small", "medium"]
    sha256: str = Field(description="The digest of its record.")
    teacher: str = Field(description="The model whose vectors it gives.")
    retention: dict[str, object] | None = Field(
        description="What it retained of the teacher's results where it was made."
    )
    warning: str | None = Field(
        description="That the index of this version was not tuned for it, and what to do; null if "
        "it was."
    )


class MeasuredPrecisionInfo(BaseModel):
    """The times by which `auto` chose the precision of a model's text tower."""

    model: str
    precision: Literal["fp32", "bf16"]
    cores: int = Field(description="Of the processor, while it was measured.")
    openvino: str = Field(description="The version of OpenVINO that was measured.")
    fp32: dict[str, float] = Field(description="Milliseconds in fp32 for each work: `1 text`, ...")
    bf16: dict[str, float] = Field(description="Milliseconds in bf16 for the same work.")


class InfoResponse(BaseModel):
    """The bundle and model that are served."""

    tusou_version: str
    index_version: str
    item_count: int
    precision: str = Field(
        description="Of the model that encodes queries: fp32, bf16, fp16 or int8; of models that "
        "differ, a list with commas."
    )
    precision_measured: tuple[MeasuredPrecisionInfo, ...] = Field(
        description="Of the models whose precision `auto` chose by measuring it once on this "
        "processor; none where the precision was given, or followed from the hardware."
    )
    backend: str = Field(
        description="What computes that model: torch, openvino, transformers or open_clip."
    )
    model: str
    models: tuple[ModelInfo, ...] = Field(
        description="The model, or those of an ensemble; none without an encoder."
    )
    query_encoder: StudentInfo | None = Field(
        description="The student that encodes the texts of queries; null where the model does."
    )
    id_type: Literal["int", "str"]
    items: ItemKind = Field(description="The kind of the items: images or texts.")
    accepts: tuple[str, ...] = Field(description="The kinds of parts that a query may have.")
    sample_item_ids: tuple[ItemId, ...] = Field(
        description="At most 12 random items, the same ones while the index stays the same."
    )
    random_scores: RandomScores
    relevance: Literal["texts", "images"] | None = Field(
        description="The kind of queries whose results have a relevance; null without a "
        "calibration."
    )
    attributes: dict[str, AttributeType] = Field(
        description="The attributes of the items, and their types."
    )
    facets: tuple[str, ...] = Field(
        description=f"The attributes with at most {FEW_VALUES} values: those worth a facet."
    )
    manifest: dict[str, object]


class Problem(_ProblemFields):
    """An error response (RFC 9457); `code` is stable."""

    request_id: str
    retry_after_ms: int | None = None
    message: str | None = Field(
        None, description="Under /v1/ only: the text that OpenAI's clients show."
    )
