"""The bodies and query strings of requests, with their descriptions for OpenAPI."""

import json
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

from tusou.retrieval.query import MAX_WEIGHT, NEGATIVE_WEIGHT
from tusou_service.http.attribute_fields import (
    FILTER_DESCRIPTION,
    FILTER_EXAMPLE,
    AttributeFields,
    FieldNames,
    FilterParameter,
)
from tusou_service.http.stage_fields import StageFields

MAX_TOP_K = 1000
MAX_QUERIES = 256
MAX_IMAGES = 16
MAX_RANK = 10_000  # of offset + top_k
MAX_RESULTS = 32_000  # of queries times top_k: larger responses would delay other clients
MAX_EXCLUDED = 256
MAX_FEEDBACK = 32  # liked items, and disliked ones
_MAX_ID_CHARS = 256

Weight = Annotated[float, Field(gt=0, le=MAX_WEIGHT, allow_inf_nan=False)]
Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_QUERIES, fail_fast=True)]
RequestId = int | Annotated[str, Field(max_length=_MAX_ID_CHARS)]
FeedbackIds = Annotated[list[RequestId], FailFast(), Field(max_length=MAX_FEEDBACK)]


def _text_or_none(value: object, info: ValidationInfo) -> str | None:
    """Return None for a value that is not a string, if each query has its own outcome."""
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


class StrictModel(BaseModel):
    """A body in which every field is known and has its type; null leaves an optional one out."""

    # As in most JSON parsers, the last value of a duplicate key wins.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_left_out(cls, value: object, info: ValidationInfo) -> object:
        """Treat null in an optional field as most clients mean it: the field is not given."""
        name = info.field_name or ""
        if value is None and not cls.model_fields[name].is_required():
            raise PydanticUseDefault
        return value


class PageFields(StageFields):
    """The options of a search: the page of its results, and how queries are read."""

    top_k: int = Field(
        10, ge=1, le=MAX_TOP_K, description="Number of items to return.", examples=[3]
    )
    offset: int = Field(
        0, ge=0, le=MAX_RANK, description="Number of items to skip, for pages.", examples=[20]
    )
    exclude: Annotated[list[RequestId], FailFast()] = Field(
        [],
        max_length=MAX_EXCLUDED,
        description="Ids of items to leave out; unknown ids are ignored.",
        examples=[[30000001, "30000002"]],
    )
    interpret: bool = Field(
        default=True,
        description="Whether what a query refuses (不带拉链的包) is subtracted instead of searched "
        "for.",
        examples=[False],
    )
    index_version: str | None = Field(
        None,
        max_length=64,
        description="The index_version of an earlier response: the answer says if it has changed.",
        examples=["8c4641c9f1dd4614"],
    )


class PartFields(BaseModel):
    """The parts of one query and their weights, except its image."""

    query: str | None = Field(
        None,
        description="The text to search for; at most 512 characters.",
        examples=["纯棉碎花吊带裙"],
    )
    item_id: RequestId | None = Field(
        None, description="The id of an indexed item: more like it.", examples=[30000001]
    )
    negative: str | None = Field(
        None, description="A text: less like this; at most 512 characters.", examples=["红色"]
    )
    negative_item_id: RequestId | None = Field(
        None, description="The id of an indexed item: less like it.", examples=[30000002]
    )
    like: FeedbackIds = Field(
        [],
        description="Ids of results that fit: more like their mean. They are not returned again.",
        examples=[[30000003]],
    )
    dislike: FeedbackIds = Field(
        [],
        description="Ids of results that do not fit: less like their mean. They are not returned "
        "again.",
        examples=[[30000004]],
    )
    query_weight: Weight | None = Field(
        None, description="Weight of query; 1 if left out.", examples=[2]
    )
    image_weight: Weight | None = Field(
        None, description="Weight of the image; 1 if left out.", examples=[0.5]
    )
    item_weight: Weight | None = Field(
        None, description="Weight of item_id; 1 if left out.", examples=[0.5]
    )
    negative_weight: Weight | None = Field(
        None,
        description=f"Weight of negative and negative_item_id; {NEGATIVE_WEIGHT} if left out.",
        examples=[0.25],
    )


class QueryFields(AttributeFields, PageFields, PartFields):
    """The fields of one query, except its image."""


class SearchRequest(StrictModel, QueryFields):
    """One query: at least one of `query`, `image`, `item_id` and `vector`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "纯棉碎花吊带裙", "top_k": 3}]}
    )

    image: str | None = Field(
        None,
        description="An image file in base64, or as a data URI.",
        examples=["data:image/jpeg;base64,/9j/4AAQSkZJRg..."],
    )
    vector: list[float] | str | None = Field(
        None,
        description="A vector of the index's space, of any length but zero: numbers, or "
        "little-endian float32 in base64.",
        examples=[[0.1, -0.2, 0.3]],
    )
    vector_weight: Weight | None = Field(
        None, description="Weight of vector; 1 if left out.", examples=[0.5]
    )


class ImageSearchParameters(QueryFields):
    """The query string of POST /search/image, whose body is the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter: FilterParameter | None = Field(
        None,
        description=f"{FILTER_DESCRIPTION} As JSON text.",
        examples=[json.dumps(FILTER_EXAMPLE, ensure_ascii=False)],
    )


class ItemListParameters(BaseModel):
    """The query string of GET /items."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter: FilterParameter | None = Field(
        None,
        description=f"{FILTER_DESCRIPTION} As JSON text.",
        examples=[json.dumps(FILTER_EXAMPLE, ensure_ascii=False)],
    )
    fields: FieldNames = Field(
        [],
        description="Attributes to return with each item; all if left out.",
        examples=[["title", "price"]],
    )
    limit: int = Field(100, ge=1, le=MAX_TOP_K, description="Number of items.", examples=[20])
    after: str | None = Field(
        None,
        max_length=_MAX_ID_CHARS,
        description="The id of an item: the page begins after it.",
        examples=["30000001"],
    )


class BatchRequest(StrictModel, AttributeFields, PageFields):
    """Several queries, answered from one version of the index."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"queries": ["红色连衣裙", "男士皮鞋"], "top_k": 3}]}
    )

    partial: bool = Field(
        default=False,
        description="Whether a bad query has a problem in its place instead of refusing the batch.",
        examples=[True],
    )
    # After `partial`, which its validator reads.
    queries: Annotated[
        list[BatchText], Field(min_length=1, max_length=MAX_QUERIES, fail_fast=True)
    ] = Field(
        description="The texts to search for; their number times top_k is at most "
        f"{MAX_RESULTS:,}.",
        examples=[["红色连衣裙", "男士皮鞋"]],
    )


class EmbeddingRequest(StrictModel):
    """Texts and images to encode, as in OpenAI's API; fields that it may add are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"input": ["红色连衣裙", "男士皮鞋"], "model": "tusou"}]},
    )

    input: Annotated[str | Texts, BeforeValidator(_refuse_token_ids)] = Field(
        description="A text, or several; data:image/...;base64,... is an image.",
        examples=[["红色连衣裙", "男士皮鞋"]],
    )
    model: str | None = Field(None, description="Ignored: there is one model.", examples=["tusou"])
    encoding_format: Literal["float", "base64"] = Field(
        "float",
        description="Vectors as numbers, or as little-endian float32 in base64.",
        examples=["base64"],
    )
    dimensions: int | None = Field(
        None, description="The length of the model's vectors, which is fixed.", examples=[512]
    )
    user: str | None = Field(None, description="Ignored.", examples=["user-7"])
