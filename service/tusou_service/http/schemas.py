"""Request and response bodies."""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError, PydanticUseDefault

from tusou.core.ids import ItemId, ItemKind
from tusou.retrieval.query import MAX_WEIGHT, NEGATIVE_WEIGHT
from tusou_service.http.errors import PROBLEM_TYPES
from tusou_service.images.query_encoder import ImageState

MAX_TOP_K = 1000
MAX_QUERIES = 256
MAX_IMAGES = 16
MAX_RANK = 10_000  # of offset + top_k
MAX_RESULTS = 32_000  # of queries times top_k: larger answers would hold up other clients
MAX_EXCLUDED = 256
_MAX_ID_CHARS = 256

Weight = Annotated[float, Field(gt=0, le=MAX_WEIGHT, allow_inf_nan=False)]
Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_QUERIES, fail_fast=True)]
RequestId = int | Annotated[str, Field(max_length=_MAX_ID_CHARS)]


def _text_or_none(value: object, info: ValidationInfo) -> str | None:
    """Return None for what is no text, if each query of the batch has an outcome of its own."""
    if isinstance(value, str):
        return value
    if info.data.get("partial"):
        return None
    raise PydanticKnownError("string_type")


BatchText = Annotated[str | None, PlainValidator(_text_or_none), WithJsonSchema({"type": "string"})]


def _refuse_token_ids(value: object) -> object:
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, int) or (isinstance(first, list) and first and isinstance(first[0], int)):
        raise PydanticCustomError(
            "token_ids",
            "Send texts, not token ids. With LangChain: "
            "OpenAIEmbeddings(check_embedding_ctx_length=False, ...).",
        )
    return value


class _StrictModel(BaseModel):
    # As in most JSON parsers, the last value of a duplicate key wins.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_left_out(cls, value: object, info: ValidationInfo) -> object:
        """Read null in an optional field as most clients mean it: the field is not given."""
        name = info.field_name or ""
        if value is None and not cls.model_fields[name].is_required():
            raise PydanticUseDefault
        return value


class PageFields(BaseModel):
    """The options of a search: the page of its results, and how queries are read."""

    top_k: int = Field(10, ge=1, le=MAX_TOP_K, description="Number of items to return.")
    offset: int = Field(0, ge=0, le=MAX_RANK, description="Number of items to skip.")
    exclude: Annotated[list[RequestId], FailFast()] = Field(
        [], max_length=MAX_EXCLUDED, description="Item ids to leave out; unknown ids are ignored."
    )
    interpret: bool = Field(
        default=True,
        description="Whether what a query refuses (不带拉链的包) is subtracted instead of searched "
        "for.",
    )
    index_version: str | None = Field(
        None, max_length=64, description="The version of an earlier response; see version_changed."
    )


class PartFields(BaseModel):
    """The parts of one query and their weights, except its image."""

    query: str | None = Field(None, description="The text to search for; at most 512 characters.")
    item_id: RequestId | None = Field(None, description="An indexed item: more like it.")
    negative: str | None = Field(None, description="A text: less like this.")
    negative_item_id: RequestId | None = Field(None, description="An indexed item: less like it.")
    query_weight: Weight | None = Field(None, description="1 by default.")
    image_weight: Weight | None = Field(None, description="1 by default.")
    item_weight: Weight | None = Field(None, description="1 by default.")
    negative_weight: Weight | None = Field(None, description=f"{NEGATIVE_WEIGHT} by default.")


class QueryFields(PageFields, PartFields):
    """The fields of one query, except its image."""


class SearchRequest(_StrictModel, QueryFields):
    """One query: at least one of `query`, `image` and `item_id`."""

    image: str | None = Field(None, description="An image file in base64, or as a data URI.")


class ImageSearchParameters(QueryFields):
    """The query string of POST /search/image, whose body is the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BatchRequest(_StrictModel, PageFields):
    """Several queries, answered from one version of the index."""

    partial: bool = Field(
        default=False,
        description="Whether a bad query has a problem in its place instead of refusing the batch.",
    )
    # After `partial`, which its validator reads.
    queries: Annotated[
        list[BatchText], Field(min_length=1, max_length=MAX_QUERIES, fail_fast=True)
    ] = Field(description=f"Up to {MAX_QUERIES} texts; times top_k at most {MAX_RESULTS}.")


class EmbeddingRequest(_StrictModel):
    """Texts and images to encode, as in OpenAI's API; fields that it may add are ignored."""

    model_config = ConfigDict(extra="ignore")

    input: Annotated[str | Texts, BeforeValidator(_refuse_token_ids)] = Field(
        description="Texts, or images as data:image/...;base64,..."
    )
    model: str | None = Field(None, description="Ignored: there is one model.")
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="Vectors as numbers, or as little-endian float32 in base64."
    )
    dimensions: int | None = Field(
        None, description="The length of the model's vectors, which cannot be changed."
    )
    user: str | None = Field(None, description="Ignored.")


class ModelCard(BaseModel):
    """A model in OpenAI's format."""

    id: str
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
    index: int
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


class SearchResult(BaseModel):
    """One query's items, best first."""

    item_ids: tuple[ItemId, ...] = Field(description="Fewer than top_k when the index holds fewer.")
    scores: tuple[float, ...] = Field(description="Cosines of the items, descending.")
    truncated: bool = Field(description="Whether the query was longer than the model's context.")
    interpreted: InterpretedQuery | None = Field(
        None, description="Present when the query was understood to refuse something."
    )


class ProblemDetail(BaseModel):
    """One fault of a request, and its location."""

    loc: list[str | int]
    type: str
    detail: str | None = None


class QueryProblem(BaseModel):
    """The problem of one query of a batch; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemDetail] | None = None


class QueryFailure(BaseModel):
    """The outcome of a bad query in a partial batch."""

    problem: QueryProblem


class _AnsweredRequest(BaseModel):
    index_version: str
    took_ms: float
    version_changed: Literal[True] | None = Field(
        None, description="Present when the request named another version."
    )


class SearchResponse(_AnsweredRequest, SearchResult):
    """The answer to one query."""


class BatchResponse(_AnsweredRequest):
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


class RandomScores(BaseModel):
    """The score that one in a hundred random pairs of a query and an item reaches."""

    text: float = Field(description="For a query of one text without a refusal.")
    image: float | None = Field(
        description="For a query of one image; null where that is not known."
    )
    item: float | None = Field(description="For a query of one item; null in a pool of one.")


class InfoResponse(BaseModel):
    """The bundle and model that are served."""

    tusou_version: str
    index_version: str
    item_count: int
    precision: str = Field(
        description="Of the model that encodes queries: fp32, bf16, fp16 or int8."
    )
    backend: str = Field(description="What computes that model: torch or openvino.")
    model: str
    id_type: Literal["int", "str"]
    items: ItemKind = Field(description="The kind of the items: images or texts.")
    accepts: tuple[str, ...] = Field(description="The kinds of parts that a query may have.")
    sample_item_ids: tuple[ItemId, ...] = Field(
        description="At most 12 random items, the same ones while the index stays the same."
    )
    random_scores: RandomScores
    manifest: dict[str, object]


class Problem(BaseModel):
    """An error response (RFC 9457); `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(json_schema_extra={"enum": [*sorted({cls.code for cls in PROBLEM_TYPES})]})
    request_id: str
    retry_after_ms: int | None = None
    errors: list[ProblemDetail] | None = None
    message: str | None = Field(
        None, description="Under /v1/ only: the text that OpenAI's clients show."
    )
