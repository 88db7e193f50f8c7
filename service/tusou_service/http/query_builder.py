"""Builds queries from the fields of a request."""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from tusou.core.errors import ErrorDetail, InputError, InvalidRequest
from tusou.retrieval.query import (
    Part,
    Query,
    VectorPart,
    feedback_parts,
    given_vector,
    item_and_negative_parts,
    text_parts,
)
from tusou.text.negation import UnderstoodQuery
from tusou.text.normalize import normalize_query
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.attribute_fields import attribute_options
from tusou_service.http.request_models import MAX_RANK, MAX_RESULTS, QueryFields, SearchRequest
from tusou_service.http.stage_fields import stage_options

FieldSource: TypeAlias = Literal["body", "query"]  # the JSON body or the query string

# For each weight, the fields that it can apply to.
_WEIGHTED_FIELDS = {
    "query_weight": {"query"},
    "image_weight": {"image"},
    "item_weight": {"item_id"},
    "vector_weight": {"vector"},
    "negative_weight": {"negative", "negative_item_id"},
}


async def build_query(
    fields: QueryFields,
    image: str | bytes | None,
    engine: SearchEngine,
    deadline: float,
    source: FieldSource = "body",
) -> Query:
    """Return the query of a request; `image` is in base64 or the bytes of a file.

    Raises InvalidRequest, EmptyQuery, QueryTooLong, NoEncoder, and the errors of
    `ImageQueryEncoder.encode_image`. Texts are checked before the image is decoded.
    """
    check_page(fields.top_k, fields.offset, source)
    _check_fields(fields, image, source)
    vector = _vector_part(fields) if isinstance(fields, SearchRequest) else None
    options = attribute_options(fields, engine, source) | stage_options(fields)
    understood: UnderstoodQuery | None = None
    parts: list[Part] = []
    if fields.query is not None:
        texts, understood = text_parts(
            normalize_query(fields.query), fields.query_weight or 1.0, interpret=fields.interpret
        )
        parts += texts
    parts += item_and_negative_parts(
        fields.item_id,
        fields.negative,
        fields.negative_item_id,
        fields.item_weight,
        fields.negative_weight,
    )
    parts += feedback_parts(fields.like, fields.dislike)
    if vector is not None:
        parts.append(vector)
    if image is not None:
        encoded = await engine.images.encode_image(image, deadline)
        parts.append(replace(encoded, weight=fields.image_weight or 1.0))
    exclude = frozenset(map(str, fields.exclude))
    return Query(tuple(parts), fields.top_k, fields.offset, exclude, understood, **options)


def _vector_part(fields: SearchRequest) -> VectorPart | None:
    if fields.vector is None:
        return None
    weight = fields.vector_weight or 1.0
    try:
        if isinstance(fields.vector, str):
            numbers = np.frombuffer(b64decode(fields.vector, validate=True), "<f4")
            return given_vector(numbers, weight)
        return given_vector(fields.vector, weight)
    except (InvalidRequest, ValueError):  # binascii.Error is a ValueError
        message = "A vector is finite numbers, not all zero, or float32 in base64."
        detail = ErrorDetail(("body", "vector"), "vector", message)
        raise InvalidRequest(details=[detail]) from None


def check_page(top_k: int, offset: int, source: FieldSource = "body") -> None:
    """Raise InvalidRequest for a page that ends below rank MAX_RANK."""
    if offset + top_k > MAX_RANK:
        message = f"offset and top_k together are at most {MAX_RANK}."
        raise InvalidRequest(details=[ErrorDetail((source, "offset"), "out_of_range", message)])


def check_batch_size(queries: int, top_k: int, fields: int = 0) -> None:
    """Raise InvalidRequest for a batch with more than MAX_RESULTS results.

    A result with `fields` attributes counts as that many more.
    """
    size = top_k * (1 + fields)
    if queries * size > MAX_RESULTS:
        factors = "queries times top_k" + (" times (1 + the number of fields)" if fields else "")
        most = max(1, MAX_RESULTS // size)
        message = (
            f"{factors} is at most {MAX_RESULTS} in a call: with this top_k, send at "
            f"most {most} queries."
        )
        detail = ErrorDetail(("body", "queries"), "too_many_results", message)
        raise InvalidRequest(details=[detail])


def normalize_each(texts: Mapping[int, str | None], field: str) -> dict[int, str | InputError]:
    """Return the normalised text, or its error, for each position of a list field.

    None stands for a value that is not a string.
    """
    outcomes: dict[int, str | InputError] = {}
    for position, text in texts.items():
        loc = ("body", field, position)
        try:
            outcomes[position] = normalize_query(text) if text is not None else _no_text(loc)
        except InputError as error:
            outcomes[position] = type(error)(str(error), details=[ErrorDetail(loc, error.code)])
    return outcomes


def normalize_texts(texts: Mapping[int, str], field: str) -> dict[int, str]:
    """Normalise the texts of a list field, by position.

    Raises the first text's InputError, with a detail for every text that has one.
    """
    outcomes = normalize_each(texts, field)
    raise_errors(outcomes.values())
    return {n: outcome for n, outcome in outcomes.items() if isinstance(outcome, str)}


def raise_errors(outcomes: Iterable[object]) -> None:
    """Raise the first InputError among outcomes, with the details of all of them."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, InputError)]
    if errors:
        details = [detail for error in errors for detail in error.details]
        raise type(errors[0])(str(errors[0]), details=details)


def _no_text(loc: tuple[str | int, ...]) -> InvalidRequest:
    return InvalidRequest(details=[ErrorDetail(loc, "string_type", "A query is a text.")])


def _check_fields(fields: QueryFields, image: str | bytes | None, source: FieldSource) -> None:
    names = ("query", "item_id", "negative", "negative_item_id", "vector")
    given = {name for name in names if getattr(fields, name, None) is not None}
    if image is not None:
        given.add("image")
    if given.isdisjoint(("query", "image", "item_id", "vector")) and not fields.like:
        message = "Give at least one of query, image, item_id, vector and like."
        raise InvalidRequest(details=[ErrorDetail((source, "query"), "missing", message)])
    unused = [
        weight
        for weight, weighted in _WEIGHTED_FIELDS.items()
        if getattr(fields, weight, None) is not None and given.isdisjoint(weighted)
    ]
    if unused:
        message = "A weight needs the part that it weighs."
        raise InvalidRequest(
            details=[
                ErrorDetail((source, weight), "weight_without_part", message) for weight in unused
            ]
        )
