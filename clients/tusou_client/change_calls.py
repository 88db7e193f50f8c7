"""The calls that change items of a live service, and what their replies mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict, cast
from urllib.parse import quote

from tusou.core.hits import AttributeValue
from tusou.core.ids import ItemId, is_id
from tusou_client.errors import ServiceError
from tusou_client.hits_reader import read_object
from tusou_client.problem import read_query_problem
from tusou_client.wire import (
    MAX_IMAGE_CHARS,
    MAX_TEXTS,
    Call,
    ImageFile,
    Reply,
    encode_image,
    encode_json,
    encode_vector,
    parse_fields,
    read_list,
)

# The size of a request without its images; the service accepts 1 MiB.
_MAX_CHARS = 2**19

ChangeStatus: TypeAlias = Literal["created", "replaced", "patched", "deleted", "absent"]
_STATUSES = frozenset({"created", "replaced", "patched", "deleted", "absent"})


class PutOptions(TypedDict, total=False):
    """The content of an item; see docs/api.md."""

    image: ImageFile
    text: str
    attributes: Mapping[str, AttributeValue]
    vector: Sequence[float]  # of the served model, with length 1; computed if left out


class Operation(TypedDict, total=False):
    """One change of several: `op`, `item_id`, and the fields of the single call."""

    op: Literal["upsert", "patch", "delete"]
    item_id: ItemId
    image: ImageFile
    text: str
    attributes: Mapping[str, AttributeValue | None]
    vector: Sequence[float]
    if_match: str


@dataclass(frozen=True, slots=True)
class Change:
    """The outcome of one change."""

    item_id: ItemId
    status: ChangeStatus  # `absent`: there was no such item to delete
    etag: str | None  # of the item after the change; None if it was deleted
    index_version: str


class ItemCall(Call[dict[str, object]]):
    """GET of one item, whose reply has its ETag in a header."""

    def read(self, reply: Reply, url: str) -> dict[str, object]:
        """Return the item's fields, and `etag`."""
        fields = Call.read(self, reply, url)
        return fields if reply.etag is None else fields | {"etag": reply.etag}


def item(item_id: ItemId) -> ItemCall:
    """Return the call for an item's fields."""
    return ItemCall("GET", item_path(item_id), parse_fields)


def item_path(item_id: ItemId) -> str:
    """Return the path of an item; a slash in its id is escaped."""
    return f"/items/{quote(str(item_id), safe='')}"


def put_item(item_id: ItemId, content: PutOptions, if_match: str | None) -> Call[Change]:
    """Return the call that adds an item, or replaces the one with its id."""
    return _one("PUT", item_id, _encode(content), if_match)


def patch_item(
    item_id: ItemId, attributes: Mapping[str, AttributeValue | None], if_match: str | None
) -> Call[Change]:
    """Return the call that changes attributes of an item."""
    return _one("PATCH", item_id, {"attributes": dict(attributes)}, if_match)


def delete_item(item_id: ItemId, if_match: str | None) -> Call[Change]:
    """Return the call that deletes an item."""
    return _one("DELETE", item_id, None, if_match)


def change_items(operations: Sequence[Operation]) -> list[Call[list[Change | ServiceError]]]:
    """Return the calls for several changes, each of as many as the service takes in one."""
    return [_batch(batch) for batch in _split(map(_encode, operations))]


def delete_items(selected: Mapping[str, object]) -> Call[int]:
    """Return the call that deletes all items that pass a filter, and counts them."""

    def parse(data: bytes) -> int:
        deleted = parse_fields(data).get("deleted")
        if not isinstance(deleted, int) or isinstance(deleted, bool) or deleted < 0:
            raise ValueError("`deleted` is not a count")
        return deleted

    return Call("POST", "/items/delete", parse, encode_json({"filter": dict(selected)}))


def _one(
    method: str, item_id: ItemId, body: dict[str, object] | None, if_match: str | None
) -> Call[Change]:
    def parse(data: bytes) -> Change:
        fields = parse_fields(data)
        return _change(fields, fields)

    return Call(
        method,
        item_path(item_id),
        parse,
        None if body is None else encode_json(body),
        if_match=if_match,
        conditional=if_match is not None,
    )


def _batch(operations: list[dict[str, object]]) -> Call[list[Change | ServiceError]]:
    def parse(data: bytes) -> list[Change | ServiceError]:
        fields = parse_fields(data)
        results = map(read_object, read_list(fields, "results", len(operations)))
        return [
            read_query_problem(read_object(result["problem"]))
            if "problem" in result
            else _change(result, fields)
            for result in results
        ]

    body = encode_json({"operations": operations})
    conditional = any(operation.get("if_match") is not None for operation in operations)
    return Call("POST", "/items/batch", parse, body, conditional=conditional)


def _split(operations: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    """Yield the operations in requests within the limits of the service."""
    batch: list[dict[str, object]] = []
    image_chars = chars = 0
    for operation in operations:
        image = len(cast("str", operation.get("image", "")))
        other = len(encode_json(operation)) - image
        full = len(batch) == MAX_TEXTS or image_chars + image > MAX_IMAGE_CHARS
        if batch and (full or chars + other > _MAX_CHARS):
            yield batch
            batch, image_chars, chars = [], 0, 0
        batch.append(operation)
        image_chars, chars = image_chars + image, chars + other
    if batch:
        yield batch


def _encode(content: PutOptions | Operation) -> dict[str, object]:
    """Return the fields of a change as the service takes them."""
    fields = {name: value for name, value in content.items() if value is not None}
    if "image" in fields:
        fields["image"] = encode_image(cast("ImageFile", fields["image"]))
    if "vector" in fields:
        fields["vector"] = encode_vector(cast("Sequence[float]", fields["vector"]))
    return fields


def _change(result: dict[str, object], reply: dict[str, object]) -> Change:
    item_id, status, etag = (result.get(name) for name in ("item_id", "status", "etag"))
    version = reply.get("index_version")
    if not is_id(item_id) or not isinstance(version, str):
        raise ValueError("a change has no `item_id` or no `index_version`")
    if status not in _STATUSES or not (etag is None or isinstance(etag, str)):
        raise ValueError("a change has no known `status`, or its `etag` is not a text")
    return Change(item_id, cast("ChangeStatus", status), etag, version)
