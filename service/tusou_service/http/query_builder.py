"""From a request's fields to an ask: the parts, their weights, and what does not go together."""

from collections.abc import Iterator
from dataclasses import replace

from tusou.core.errors import ErrorDetail, InvalidRequest
from tusou.retrieval.query import ItemPart, Part, Query, TextPart
from tusou.text.negation import REFUSED_WEIGHT, UnderstoodQuery, parse_negation
from tusou.text.normalize import normalize_query
from tusou_service.engine.interfaces import SearchEngine
from tusou_service.http.schemas import MAX_REACH, SearchRequest

_NEGATIVE_WEIGHT = 0.5
# Each weight, and the fields it is for.
_WEIGHED = {
    "query_weight": ("query",),
    "image_weight": ("image",),
    "item_weight": ("item_id",),
    "negative_weight": ("negative", "negative_item_id"),
}


async def build_query(
    body: SearchRequest, engine: SearchEngine, deadline: float
) -> tuple[Query, UnderstoodQuery | None]:
    """Read a request, and say what its query was understood to refuse.

    Raises InvalidRequest, EmptyQuery, QueryTooLong, and what `SearchEngine.see` raises.
    """
    _check(body)
    query = None if body.query is None else normalize_query(body.query)
    understood = parse_negation(query) if query and body.interpret else None
    parts = list(
        _parts(body, query, understood)
    )  # whatever is wrong with a text is said before an image is read
    if body.image is not None:
        seen = await engine.see(body.image, deadline)
        parts.append(replace(seen, weight=_or(body.image_weight, 1)))
    exclude = frozenset(map(str, body.exclude))
    return Query(tuple(parts), body.top_k, body.offset, exclude), understood


def check_reach(top_k: int, offset: int) -> None:
    """Refuse a page that lies too deep."""
    if offset + top_k > MAX_REACH:
        said = f"offset and top_k together are at most {MAX_REACH}."
        raise InvalidRequest(details=[ErrorDetail(("body", "offset"), "out_of_range", said)])


def _parts(
    body: SearchRequest, query: str | None, understood: UnderstoodQuery | None
) -> Iterator[Part]:
    less = -_or(body.negative_weight, _NEGATIVE_WEIGHT)
    asked = _or(body.query_weight, 1)
    if understood:
        yield TextPart(understood.positive, asked)
        for refused in understood.refused:
            yield TextPart(refused, -asked * REFUSED_WEIGHT)
    elif query is not None:
        yield TextPart(query, asked)
    if body.item_id is not None:
        yield ItemPart(str(body.item_id), _or(body.item_weight, 1))
    if body.negative is not None:
        yield TextPart(normalize_query(body.negative), less)
    if body.negative_item_id is not None:
        yield ItemPart(str(body.negative_item_id), less)


def _check(body: SearchRequest) -> None:
    check_reach(body.top_k, body.offset)
    if body.query is None and body.image is None and body.item_id is None:
        said = "Give at least one of query, image and item_id."
        raise InvalidRequest(details=[ErrorDetail(("body", "query"), "missing", said)])
    alone = [
        weight
        for weight, fields in _WEIGHED.items()
        if getattr(body, weight) is not None and all(getattr(body, one) is None for one in fields)
    ]
    if alone:
        said = "A weight needs the part that it weighs."
        raise InvalidRequest(
            details=[ErrorDetail(("body", one), "weight_without_part", said) for one in alone]
        )


def _or(weight: float | None, default: float) -> float:
    return default if weight is None else weight
