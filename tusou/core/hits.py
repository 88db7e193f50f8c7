"""The result of one query, for the client, the pipeline and in-process search."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self, TypeAlias, overload

from tusou.core.ids import ItemId

AttributeValue: TypeAlias = str | int | float | bool | list[str]  # dates as YYYY-MM-DD
Attributes: TypeAlias = Mapping[str, AttributeValue]  # of one item; absent names have no value
Facets: TypeAlias = Mapping[str, Sequence[tuple[AttributeValue, int]]]  # counts, most first


class Hit(NamedTuple):
    """One item of a ranking."""

    rank: int  # from 1, within the hits it was read from
    item_id: ItemId
    score: float


@dataclass(frozen=True, slots=True)
class Hits(Sequence[Hit]):
    """The items that match one query, best first; a sequence of `Hit`."""

    item_ids: tuple[ItemId, ...]
    scores: tuple[float, ...]  # cosines, descending
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
            names = ("item_ids", "scores", "attributes", "others")
            parts: dict[str, Any] = {name: getattr(self, name)[position] for name in names}
            return replace(self, **parts)
        rank = range(1, len(self) + 1)[position]
        return Hit(rank, self.item_ids[position], self.scores[position])

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a dict of `rank`, `item_id` and `score` per hit, for pandas or JSON lines.

        It has `attributes` and `others` too if they were asked for.
        """
        rows: list[dict[str, Any]] = [hit._asdict() for hit in self]
        for name in ("attributes", "others"):
            for row, value in zip(rows, getattr(self, name), strict=False):
                row[name] = value
        return rows
