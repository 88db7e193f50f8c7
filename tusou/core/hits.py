"""The result of one query, for the client, the pipeline and in-process search."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Self, TypeAlias, overload

from tusou.core.ids import ItemId

AttributeValue: TypeAlias = str | int | float | bool | list[str]  # dates as YYYY-MM-DD
Attributes: TypeAlias = Mapping[str, AttributeValue]  # of one item; absent names have no value
Facets: TypeAlias = Mapping[str, Sequence[tuple[AttributeValue, int]]]  # counts, most first


# The least `unknown_share` of a query that is most likely in a language unknown to the model.
UNKNOWN_LANGUAGE = 0.5

# The fields of `Hits` that are parallel to each other.
_PARALLEL = (
    "item_ids",
    "scores",
    "attributes",
    "others",
    "adjusted_scores",
    "stage_scores",
    "relevance",
)


class Hit(NamedTuple):
    """One item of a ranking."""

    rank: int  # from 1, within the hits it was read from
    item_id: ItemId
    score: float


@dataclass(frozen=True, slots=True)
class Hits(Sequence[Hit]):
    """The items that match one query, best first; a sequence of `Hit`."""

    item_ids: tuple[ItemId, ...]
    scores: tuple[float, ...]  # cosines, descending unless a stage has changed the order
    truncated: bool = False  # the query was longer than the model reads
    index_version: str = ""  # the version of the index that was searched
    positive: str | None = None  # the searched part of a query that refuses something
    negative: str | None = None  # what the query was understood to refuse
    version_changed: bool = False  # the index is not the version that the request named
    # Parallel to the item ids: the attributes that were asked for, and how many further items share
    # the item's value of `distinct`, or are its near duplicates.
    attributes: tuple[Attributes, ...] = field(default=(), hash=False)
    others: tuple[int, ...] = ()
    # Over all items that pass the filter, not only those returned.
    facets: Facets = field(default_factory=dict, hash=False)
    matching_items: int | None = None
    # The stages after retrieval. Parallel to the item ids: the scores that an adjusted ranking is
    # ordered by, each stage's score if they were asked for, and the relevance of each item.
    adjusted_scores: tuple[float, ...] = ()
    stage_scores: tuple[Mapping[str, float], ...] = field(default=(), hash=False)
    relevance: tuple[float, ...] = ()
    answer_relevance: float | None = None
    matched: bool | None = None  # whether anything fits the query; None without a calibration
    rerank: Literal["complete", "partial", "failed"] | None = None  # None: not reranked
    unknown_share: float = 0.0  # the share of the query's text that the text tower does not know

    @property
    def is_unknown_language(self) -> bool:
        """Return whether the query is most likely in a language that the model does not know."""
        return self.unknown_share >= UNKNOWN_LANGUAGE

    def __len__(self) -> int:
        return len(self.item_ids)

    def __iter__(self) -> Iterator[Hit]:
        return map(Hit, range(1, len(self) + 1), self.item_ids, self.scores)

    @overload
    def __getitem__(self, position: int) -> Hit: ...
    @overload
    def __getitem__(self, position: slice) -> Self: ...
    def __getitem__(self, position: int | slice) -> Hit | Self:
        """Return the hit at a position (from 0), or the hits of a slice, ranked from 1 again."""
        if isinstance(position, slice):
            return self.take(range(len(self))[position])
        rank = range(1, len(self) + 1)[position]
        return Hit(rank, self.item_ids[position], self.scores[position])

    def take(self, positions: Iterable[int]) -> Self:
        """Return the hits at some positions (from 0), in their order."""
        positions = list(positions)
        parts: dict[str, Any] = {
            name: tuple(values[position] for position in positions)
            for name in _PARALLEL
            if (values := getattr(self, name))
        }
        return replace(self, **parts)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a dict of `rank`, `item_id` and `score` per hit, for pandas or JSON lines.

        It has `attributes`, `others`, `adjusted_scores`, `stage_scores` and `relevance` too if the
        hits have them.
        """
        rows: list[dict[str, Any]] = [hit._asdict() for hit in self]
        for name in _PARALLEL[2:]:
            for row, value in zip(rows, getattr(self, name), strict=False):
                row[name] = value
        return rows
