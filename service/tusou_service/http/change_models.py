"""The bodies of requests that change items, and their responses."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.config import JsonDict

from tusou.core.ids import ItemId
from tusou_service.http.request_models import RequestId, StrictModel
from tusou_service.http.schemas import QueryProblem

MAX_OPERATIONS = 256

AttributeJson = str | bool | int | float | list[str]
IfMatch = Annotated[
    str | None,
    Field(max_length=64, description="The ETag that the item must have, or * for any."),
]
_EXAMPLE: JsonDict = {"title": "碎花吊带裙", "price": 129.0, "tags": ["夏季"]}


class ItemContent(BaseModel):
    """The content of an item: an image or a text, its attributes, and optionally its vector."""

    image: str | None = Field(
        None,
        description="An image file in base64, or as a data URI, where the items are images.",
        examples=["data:image/jpeg;base64,/9j/4AAQSkZJRg..."],
    )
    text: str | None = Field(
        None, description="A text, where the items are texts.", examples=["红色碎花连衣裙"]
    )
    attributes: dict[str, AttributeJson] = Field(
        {},
        description="Attributes by name: texts, numbers, true or false, lists of texts.",
        examples=[_EXAMPLE],
    )
    vector: Annotated[list[float], Field(max_length=65_536)] | str | None = Field(
        None,
        description="The vector that the served model gives the item, of length 1: numbers, or "
        "little-endian float32 in base64. It is computed if left out.",
        examples=["zczMPZqZGb8AAAA/"],
    )


class ItemRequest(StrictModel, ItemContent):
    """An item to add, or to put in place of the one with its id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"image": "data:image/jpeg;base64,/9j/4AAQ...", "attributes": _EXAMPLE}]
        }
    )


class PatchRequest(StrictModel):
    """Attributes to change."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"attributes": {"price": 99}}]})

    attributes: dict[str, AttributeJson | None] = Field(
        min_length=1,
        description="New values by name; null removes an attribute.",
        examples=[{"price": 99, "tags": None}],
    )


class UpsertOperation(StrictModel, ItemContent):
    """Adds or replaces an item."""

    op: Literal["upsert"]
    item_id: RequestId
    if_match: IfMatch = None


class PatchOperation(PatchRequest):
    """Changes attributes of an item."""

    op: Literal["patch"]
    item_id: RequestId
    if_match: IfMatch = None


class DeleteOperation(StrictModel):
    """Removes an item."""

    op: Literal["delete"]
    item_id: RequestId
    if_match: IfMatch = None


def _operation(value: object) -> object:
    # Not the discriminator of pydantic, which refuses models that validate every field first.
    return value.get("op") if isinstance(value, dict) else getattr(value, "op", None)


OperationRequest = Annotated[
    Annotated[UpsertOperation, Tag("upsert")]
    | Annotated[PatchOperation, Tag("patch")]
    | Annotated[DeleteOperation, Tag("delete")],
    Discriminator(_operation),
]


class ChangesRequest(StrictModel):
    """Several changes, in their order; each has an outcome of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "operations": [
                        {"op": "patch", "item_id": 30000001, "attributes": {"price": 99}},
                        {"op": "delete", "item_id": 30000002},
                    ]
                }
            ]
        }
    )

    operations: Annotated[
        list[OperationRequest], Field(min_length=1, max_length=MAX_OPERATIONS, fail_fast=True)
    ] = Field(
        description="upsert, patch and delete, in order.",
        examples=[[{"op": "delete", "item_id": 30000002}]],
    )


class DeleteRequest(StrictModel):
    """A filter whose items are removed together."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": {"category": "连衣裙", "price": {"$lt": 20}}}]}
    )

    filter: dict[str, object] = Field(
        min_length=1,
        description="A filter as in searches; an empty one, which passes all items, is refused.",
        examples=[{"category": "连衣裙", "price": {"$lt": 20}}],
    )


class ChangedItem(BaseModel):
    """The outcome of one change."""

    item_id: ItemId
    status: Literal["created", "replaced", "patched", "deleted", "absent"] = Field(
        description="absent: there was no such item to remove."
    )
    etag: str | None = Field(None, description="The ETag of the item, unless it was removed.")


class ChangeResponse(ChangedItem):
    """The outcome of a change, which the next search sees."""

    index_version: str


class FailedChange(BaseModel):
    """A change that was refused."""

    item_id: ItemId
    problem: QueryProblem


class ChangesResponse(BaseModel):
    """The outcomes in the order of the operations."""

    results: list[ChangedItem | FailedChange]
    index_version: str


class DeletedResponse(BaseModel):
    """The number of items removed by a filter."""

    deleted: int
    index_version: str
