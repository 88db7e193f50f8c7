"""The options of in-process search, and the queries that they make."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from numpy.typing import ArrayLike
from PIL import Image

from tusou.attributes.filters import parse_filter
from tusou.core.errors import BadImage, InvalidRequest
from tusou.core.ids import ItemId
from tusou.images.color_modes import to_eight_bits
from tusou.images.preprocess import open_image
from tusou.retrieval.query import (
    MAX_WEIGHT,
    NEGATIVE_WEIGHT,
    Query,
    VectorPart,
    feedback_parts,
    given_vector,
    item_and_negative_parts,
    text_parts,
)
from tusou.text.normalize import normalize_query

# The bytes of an image file, the path of one, or an image opened with Pillow.
ImageInput: TypeAlias = bytes | str | PathLike[str] | Image.Image


class LocalSearchOptions(TypedDict, total=False):
    """The arguments of a search beside its text, as in the HTTP API; see docs/api.md."""

    image: ImageInput
    item_id: ItemId
    vector: ArrayLike  # (d,), from elsewhere: of the bundle's space
    negative: str
    negative_item_id: ItemId
    query_weight: float  # weights: above 0, at most 10; 1 by default
    image_weight: float
    item_weight: float
    vector_weight: float
    negative_weight: float  # 0.5 by default
    offset: int
    exclude: Iterable[ItemId]
    interpret: bool  # subtract what the text refuses (不带拉链的包); True by default
    filter: Mapping[str, object]  # on attributes, such as {"price": {"$lte": 200}}
    distinct: str  # an attribute: one hit for each of its values
    collapse: Literal["near_duplicates"]  # one hit for images that look the same
    fields: Iterable[str]  # attributes to return with each hit
    facets: Iterable[str]  # attributes whose values to count
    like: Iterable[ItemId]  # results that fit
    dislike: Iterable[ItemId]  # results that do not fit
    adjust: bool  # let the bundle's stages adjust the ranking; True by default
    rerank: bool  # let the bundle's reranker score the first items anew; True by default
    explain: bool  # return the score of each stage
    min_relevance: float  # 0 to 1: leave out hits of less relevance


def make_queries(
    texts: Sequence[str | None],
    top_k: int,
    encode_image: Callable[[ImageInput], VectorPart],
    *,
    image: ImageInput | None = None,
    item_id: ItemId | None = None,
    vector: ArrayLike | None = None,
    negative: str | None = None,
    negative_item_id: ItemId | None = None,
    query_weight: float = 1.0,
    image_weight: float = 1.0,
    item_weight: float = 1.0,
    vector_weight: float = 1.0,
    negative_weight: float = NEGATIVE_WEIGHT,
    offset: int = 0,
    exclude: Iterable[ItemId] = (),
    interpret: bool = True,
    filter: Mapping[str, object] | None = None,  # noqa: A002 - as in the HTTP API
    distinct: str | None = None,
    collapse: Literal["near_duplicates"] | None = None,
    fields: Iterable[str] = (),
    facets: Iterable[str] = (),
    like: Iterable[ItemId] = (),
    dislike: Iterable[ItemId] = (),
    adjust: bool = True,
    rerank: bool = True,
    explain: bool = False,
    min_relevance: float | None = None,
) -> list[Query]:
    """Return one query per text, which is None where only an image or an item is given.

    Raises InvalidRequest, EmptyQuery and QueryTooLong, and what `encode_image` raises.
    """
    if top_k < 1 or offset < 0:
        raise InvalidRequest("top_k must be at least 1, and offset at least 0")
    for weight in (query_weight, image_weight, item_weight, vector_weight, negative_weight):
        if not 0 < weight <= MAX_WEIGHT:
            raise InvalidRequest(f"a weight must be above 0 and at most {MAX_WEIGHT:g}")
    if min_relevance is not None and not 0 <= min_relevance <= 1:
        raise InvalidRequest("min_relevance must be at least 0 and at most 1")
    liked = list(like)
    if None in texts and image is None and item_id is None and vector is None and not liked:
        raise InvalidRequest("give at least one of query, image, item_id, vector and like")
    other_parts = item_and_negative_parts(
        item_id, negative, negative_item_id, item_weight, negative_weight
    )
    other_parts += feedback_parts(liked, dislike)
    understood_texts = [
        ((), None)
        if text is None
        else text_parts(normalize_query(text), query_weight, interpret=interpret)
        for text in texts
    ]
    if vector is not None:
        other_parts.append(given_vector(vector, vector_weight))
    if image is not None:
        other_parts.append(replace(encode_image(image), weight=image_weight))
    if collapse not in (None, "near_duplicates"):
        raise InvalidRequest('collapse must be "near_duplicates"')
    common = Query(
        (),
        top_k,
        offset,
        frozenset(map(str, exclude)),
        filter=None if filter is None else parse_filter(filter, ("filter",)),
        distinct=distinct,
        collapse=collapse is not None,
        fields=_names(fields),
        facets=_names(facets),
        adjust=adjust,
        rerank=rerank,
        explain=explain,
        min_relevance=min_relevance,
    )
    return [
        replace(common, parts=(*parts, *other_parts), understood=understood)
        for parts, understood in understood_texts
    ]


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def read_image(image: ImageInput) -> Image.Image:
    """Open an image; BadImage."""
    try:
        if isinstance(image, Image.Image):
            image.load()  # Pillow reads the pixels only now
            return to_eight_bits(image)
        return open_image(image if isinstance(image, bytes) else Path(image).read_bytes())
    except OSError as error:
        raise BadImage(f"the image cannot be read: {error}") from error
