"""Search queries: weighted texts, images and items, as parts of one vector."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from tusou.attributes.filters import Filter
from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest
from tusou.core.ids import ItemId
from tusou.text.negation import REFUSED_WEIGHT, UnderstoodQuery, parse_negation
from tusou.text.normalize import normalize_query

if TYPE_CHECKING:
    from tusou.retrieval.item_view import ItemView

# The highest weight of a part, and the weight of negative parts unless another is given.
MAX_WEIGHT = 10.0
NEGATIVE_WEIGHT = 0.5

# The weights of all liked items together, and of all disliked ones, beside a text's of 1.
LIKE_WEIGHT, DISLIKE_WEIGHT = 0.5, 0.25

# A sum of parts shorter than this is rounding error: the parts have cancelled out.
_SHORTEST_SUM = 1e-3
# Shorter vectors have no direction.
_SHORTEST_VECTOR = 1e-30
# A vector whose length differs from 1 by less than this is not scaled.
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class TextPart:
    """A normalised text; a negative weight moves the results away from it."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ItemPart:
    """An indexed item, by its id as text."""

    item_id: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class VectorPart:
    """A vector, and the digest of the weights that encoded it; None where the caller gave it."""

    vector: Vectors  # one unit row, (d,)
    model: str | None
    weight: float = 1.0
    kind: Literal["image", "text"] = "image"
    text: str | None = None  # which rerankers read


Part: TypeAlias = TextPart | ItemPart | VectorPart


@dataclass(frozen=True, slots=True)
class Query:
    """Weighted parts, which items may be returned, and which page of the ranking to return.

    No weight is zero, and at least one is positive. Items that a part names are never returned.
    """

    parts: tuple[Part, ...]
    top_k: int
    offset: int = 0
    exclude: frozenset[str] = frozenset()
    understood: UnderstoodQuery | None = None  # how the text was read, if it refuses something
    filter: Filter | None = None
    distinct: str | None = None  # an attribute: one hit for each of its values
    collapse: bool = False  # one hit for several near duplicates
    fields: tuple[str, ...] = ()  # attributes to return with each hit
    facets: tuple[str, ...] = ()  # attributes whose values to count
    adjust: bool = True  # let the bundle's stages adjust the ranking
    rerank: bool = True  # let the bundle's reranker score the first items anew
    explain: bool = False  # return the score of each stage
    min_relevance: float | None = None  # leave out items of less relevance
    # The items to search, for several batches that belong together; None: as they are then.
    view: "ItemView | None" = field(default=None, compare=False, repr=False)

    @classmethod
    def of_text(
        cls,
        text: str,
        top_k: int,
        offset: int = 0,
        exclude: frozenset[str] = frozenset(),
        *,
        interpret: bool = True,
    ) -> Self:
        """Return the query for a normalised text.

        With `interpret`, what the text refuses (不带拉链的包) is subtracted, not searched for.
        """
        parts, understood = text_parts(text, interpret=interpret)
        return cls(parts, top_k, offset, exclude, understood)

    @property
    def excluded_ids(self) -> frozenset[str]:
        """The ids that must not be returned: those excluded and those of the parts."""
        return self.exclude.union(part.item_id for part in self.parts if isinstance(part, ItemPart))

    @property
    def kind(self) -> Literal["texts", "images"] | None:
        """The kind of the positive parts, texts or images; None for items and mixtures."""
        kinds = {_kind(part) for part in self.parts if part.weight > 0}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def refuses(self) -> bool:
        """Return whether parts of the query are negative."""
        return any(part.weight < 0 for part in self.parts)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts to encode, in the order of the parts."""
        return tuple(part.text for part in self.parts if isinstance(part, TextPart))


def text_parts(
    text: str, weight: float = 1.0, *, interpret: bool = True
) -> tuple[tuple[TextPart, ...], UnderstoodQuery | None]:
    """Return the parts of a normalised text, and how it was read if it refuses something."""
    understood = parse_negation(text) if interpret else None
    if understood is None:
        return (TextPart(text, weight),), None
    refused = (TextPart(thing, -weight * REFUSED_WEIGHT) for thing in understood.refused)
    return (TextPart(understood.positive, weight), *refused), understood


def given_vector(values: ArrayLike, weight: float = 1.0) -> VectorPart:
    """Return the part of a vector that a caller gives, scaled to unit length.

    Raises InvalidRequest unless it has one dimension, finite numbers, and a direction.
    """
    try:
        vector = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        vector = np.empty(0)
    with np.errstate(over="ignore", invalid="ignore"):
        length = float(np.linalg.norm(vector)) if vector.ndim == 1 else 0.0
    if not _SHORTEST_VECTOR < length < np.inf:  # False for NaN
        raise InvalidRequest("a query vector is a list of finite numbers, not all of them zero")
    unit = vector if abs(length - 1) < _ROUNDING else vector / length
    return VectorPart(unit.astype(np.float32), None, weight)


def item_and_negative_parts(
    item_id: ItemId | None,
    negative: str | None,
    negative_item_id: ItemId | None,
    item_weight: float | None,
    negative_weight: float | None,
) -> list[Part]:
    """Return the parts of a query beside its text and image; a weight of None is the default."""
    less = -(negative_weight or NEGATIVE_WEIGHT)
    parts: list[Part] = []
    if item_id is not None:
        parts.append(ItemPart(str(item_id), item_weight or 1.0))
    if negative is not None:
        parts.append(TextPart(normalize_query(negative), less))
    if negative_item_id is not None:
        parts.append(ItemPart(str(negative_item_id), less))
    return parts


def feedback_parts(like: Iterable[ItemId], dislike: Iterable[ItemId]) -> list[Part]:
    """Return the parts of items that a user liked and disliked: Rocchio's formula.

    The mean of the liked items is added to the query, that of the disliked ones subtracted.
    """
    parts: list[Part] = []
    for items, weight in ((list(like), LIKE_WEIGHT), (list(dislike), -DISLIKE_WEIGHT)):
        parts += [ItemPart(str(item_id), weight / len(items)) for item_id in items]
    return parts


def _kind(part: Part) -> Literal["texts", "images"] | None:
    if isinstance(part, ItemPart) or (isinstance(part, VectorPart) and part.model is None):
        return None
    return "images" if isinstance(part, VectorPart) and part.kind == "image" else "texts"


def combine(parts: Sequence[Part], vectors: Sequence[Vectors]) -> Vectors:
    """Return the weighted sum of the parts' unit vectors, scaled to unit length.

    A single part keeps its vector bit for bit. Raises InvalidRequest if the parts cancel each
    other out.
    """
    if len(parts) == 1:
        return vectors[0]
    weights = np.array([part.weight for part in parts], np.float32)
    total: Vectors = weights @ np.stack(vectors)
    length = float(np.linalg.norm(total))
    if length < _SHORTEST_SUM * float(np.abs(weights).max()):
        raise InvalidRequest("the parts of the query cancel each other out")
    return total / np.float32(length)
