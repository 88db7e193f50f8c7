"""Builds queries from the fields of a request."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from tusou.core.errors import ErrorDetail, InputError, InvalidRequest
from tusou.retrieval.query import Part, Query, item_and_negative_parts, text_parts
from tusou.text.negation import UnderstoodQuery
from tusou.text.normalize import normalize_query
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.schemas import MAX_RANK, QueryFields

FieldSource: TypeAlias = Literal["body", "query"]  # the JSON body or the query string

# For each weight, the fields that it can apply to.
_WEIGHTED_FIELDS = {
    "query_weight": {"query"},
    "image_weight": {"image"},
    "item_weight": {"item_id"},
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

    Raises InvalidRequest, EmptyQuery, QueryTooLong, and the errors of
    `ImageQueryEncoder.encode_image`. Texts are checked before the image is decoded.
    """
    check_page(fields.top_k, fields.offset, source)
    _check_fields(fields, image, source)
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
    if image is not None:
        encoded = await engine.images.encode_image(image, deadline)
        parts.append(replace(encoded, weight=fields.image_weight or 1.0))
    exclude = frozenset(map(str, fields.exclude))
    return Query(tuple(parts), fields.top_k, fields.offset, exclude, understood)


def check_page(top_k: int, offset: int, source: FieldSource = "body") -> None:
    """Raise InvalidRequest for a page that ends below rank MAX_RANK."""
    if offset + top_k > MAX_RANK:
        message = f"offset and top_k together are at most {MAX_RANK}."
        raise InvalidRequest(details=[ErrorDetail((source, "offset"), "out_of_range", message)])


def normalize_texts(texts: Mapping[int, str], field: str) -> dict[int, str]:
    """Normalise the texts of a list field, by position.

    Raises the first text's InputError, with a detail for every text that has one.
    """
    normal: dict[int, str] = {}
    errors: dict[int, InputError] = {}
    for position, text in texts.items():
        try:
            normal[position] = normalize_query(text)
        except InputError as error:
            errors[position] = error
    if errors:
        first = next(iter(errors.values()))
        raise type(first)(
            str(first),
            details=[
                ErrorDetail(("body", field, position), error.code)
                for position, error in errors.items()
            ],
        )
    return normal


def _check_fields(fields: QueryFields, image: str | bytes | None, source: FieldSource) -> None:
    names = ("query", "item_id", "negative", "negative_item_id")
    given = {name for name in names if getattr(fields, name) is not None}
    if image is not None:
        given.add("image")
    if given.isdisjoint(("query", "image", "item_id")):
        message = "Give at least one of query, image and item_id."
        raise InvalidRequest(details=[ErrorDetail((source, "query"), "missing", message)])
    unused = [
        weight
        for weight, weighted in _WEIGHTED_FIELDS.items()
        if getattr(fields, weight) is not None and given.isdisjoint(weighted)
    ]
    if unused:
        message = "A weight needs the part that it weighs."
        raise InvalidRequest(
            details=[
                ErrorDetail((source, weight), "weight_without_part", message) for weight in unused
            ]
        )
