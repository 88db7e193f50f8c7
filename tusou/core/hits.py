"""The result of one query, for the client, the pipeline and in-process search."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self, overload

from tusou.core.ids import ItemId


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
            return replace(self, item_ids=self.item_ids[position], scores=self.scores[position])
        rank = range(1, len(self) + 1)[position]
        return Hit(rank, self.item_ids[position], self.scores[position])

    def to_rows(self) -> list[dict[str, int | str | float]]:
        """Return a dict of `rank`, `item_id` and `score` per hit, for pandas or JSON lines."""
        return [hit._asdict() for hit in self]
