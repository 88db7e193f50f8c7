"""Builds queries from the fields of a request."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from tusou.core.errors import ErrorDetail, InputError, InvalidRequest
from tusou.retrieval.query import ItemPart, Part, Query, TextPart, text_parts
from tusou.text.negation import UnderstoodQuery
from tusou.text.normalize import normalize_query
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.schemas import MAX_RANK, QueryFields

FieldSource: TypeAlias = Literal["body", "query"]  # the JSON body or the query string

_NEGATIVE_WEIGHT = 0.5
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

    Raises InvalidRequest, EmptyQuery, QueryTooLong, and what `SearchEngine.see` raises. Texts are
    checked before the image is decoded.
    """
    check_page(fields.top_k, fields.offset, source)
    _check_fields(fields, image, source)
    understood: UnderstoodQuery | None = None
    parts: list[Part] = []
    if fields.query is not None:
        query, weight = normalize_query(fields.query), _or_default(fields.query_weight, 1)
        texts, understood = text_parts(query, weight, interpret=fields.interpret)
        parts.extend(texts)
    parts.extend(_other_parts(fields))
    if image is not None:
        encoded = await engine.encode_image(image, deadline)
        parts.append(replace(encoded, weight=_or_default(fields.image_weight, 1)))
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


def _other_parts(fields: QueryFields) -> Iterator[Part]:
    less = -_or_default(fields.negative_weight, _NEGATIVE_WEIGHT)
    if fields.item_id is not None:
        yield ItemPart(str(fields.item_id), _or_default(fields.item_weight, 1))
    if fields.negative is not None:
        yield TextPart(normalize_query(fields.negative), less)
    if fields.negative_item_id is not None:
        yield ItemPart(str(fields.negative_item_id), less)


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


def _or_default(weight: float | None, default: float) -> float:
    return default if weight is None else weight
