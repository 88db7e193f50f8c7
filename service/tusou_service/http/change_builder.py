"""Builds changes from the fields of a request: contents are decoded and encoded here."""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Sequence

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.core.errors import BadImage, ErrorDetail, InvalidRequest, TusouError
from tusou.images.formats import decode_image, find_format
from tusou.images.preparation import Preparation
from tusou.live.operations import Delete, Operation, Patch, Upsert
from tusou.text.normalize import is_blank, without_controls
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.change_models import (
    DeleteOperation,
    ItemContent,
    OperationRequest,
    PatchOperation,
)

# Images that one call encodes at the same time: others get their turn.
_AT_ONCE = 16


async def build_upsert(
    item_id: str,
    content: ItemContent,
    engine: SearchEngine,
    deadline: float,
    if_match: frozenset[str] | None = None,
) -> Upsert:
    """Return the operation that stores an item, with its vector.

    Raises InvalidRequest for a content of the wrong kind, BadImage, and the errors of
    `ImageQueryEncoder.encode_image`.
    """
    bundle = engine.pipeline.bundle
    stored = _content(content, bundle)
    model = bundle.manifest.model.sha256
    if content.vector is not None:
        vector = _given_vector(content.vector, bundle.dim)
    elif bundle.items == "texts":
        vector = await engine.encode_item_text(stored.decode(), deadline)
    else:
        part = await engine.images.encode_image(stored, deadline, _preparation(bundle))
        vector, model = part.vector, part.model or model
    return Upsert(item_id, stored, vector, model, content.attributes, if_match)


async def build_operations(
    requested: Sequence[OperationRequest], engine: SearchEngine, deadline: float
) -> list[Operation | TusouError]:
    """Return the operation of each request, or why it cannot be applied, in order."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def build(request: OperationRequest) -> Operation | TusouError:
        item_id = str(request.item_id)
        if_match = None if request.if_match is None else frozenset([request.if_match])
        if isinstance(request, DeleteOperation):
            return Delete(item_id, if_match)
        if isinstance(request, PatchOperation):
            return Patch(item_id, request.attributes, if_match)
        try:
            async with turns:
                return await build_upsert(item_id, request, engine, deadline, if_match)
        except TusouError as error:
            return error

    return await asyncio.gather(*map(build, requested))


def _content(content: ItemContent, bundle: Bundle) -> bytes:
    """Return the bytes to store: of an image file, or a text in UTF-8."""
    kind, other = ("text", "image") if bundle.items == "texts" else ("image", "text")
    value = getattr(content, kind)
    if value is None or getattr(content, other) is not None:
        message = f"The items of this index are {bundle.items}: give {kind}, and no {other}."
        raise _invalid(kind, "missing" if value is None else "wrong_kind", message)
    if kind == "image":
        data = decode_image(value.encode())
        if find_format(data) is None:
            raise BadImage("no known image format", details=[ErrorDetail(("body",), "bad_image")])
        return data
    text = without_controls(value)
    if is_blank(text):
        raise _invalid("text", "blank", "A text has at least one visible character.")
    return text.encode()


def _given_vector(given: list[float] | str, dim: int) -> Vectors:
    try:
        if isinstance(given, str):
            vector = np.frombuffer(b64decode(given, validate=True), "<f4").astype(np.float32)
        else:
            vector = np.asarray(given, np.float32)
    except (ValueError, OverflowError, binascii.Error):
        vector = np.empty(0, np.float32)
    if vector.shape != (dim,) or not np.isfinite(vector).all():
        raise _invalid("vector", "vector", f"A vector has {dim} finite numbers.")
    return vector


def _preparation(bundle: Bundle) -> Preparation:
    """Return the steps before the resize that the items of a bundle had."""
    return Preparation.parse(str(bundle.manifest.build.get("prepare", "none")))


def _invalid(field: str, kind: str, message: str) -> InvalidRequest:
    return InvalidRequest(details=[ErrorDetail(("body", field), kind, message)])
