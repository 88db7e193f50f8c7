"""Rows of images: what was asked, the first five results, and the right one with its rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from tusou.core.ids import ItemId
from tusou_lab.report.analysis import Outcome
from tusou_lab.report.inputs import Source
from tusou_lab.report.thumbnails import Gallery, Thumb
from tusou_lab.strings import Words

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Tile:
    """One item: an image where it has one, a text where it has one, its id in any case."""

    item_id: str
    thumb: Thumb | None
    text: str | None
    correct: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One query, what was found, and the right one."""

    query: Tile
    found: tuple[Tile, ...]
    right: Tile | None
    rank: str
    hit: bool


class Tiles:
    """Makes examples of outcomes."""

    def __init__(self, source: Source, gallery: Gallery, texts: dict[str, str], words: Words):
        self._source, self._gallery, self._texts, self._words = source, gallery, texts, words
        self._items_are_texts = source.direction == "image_to_text"

    def examples(self, chosen: Sequence[Outcome], exact: dict[int, int]) -> tuple[Example, ...]:
        """Show outcomes; `exact` holds ranks by the queries' lines where lists were too short."""
        return tuple(self._example(one, exact.get(one.row.line)) for one in chosen)

    def _example(self, one: Outcome, exact: int | None) -> Example:
        grades = one.row.grades or {}
        correct = [item for item, grade in grades.items() if grade > 0]
        right = one.ranked[one.rank - 1] if one.rank else next(iter(correct), None)
        if one.twin is not None:
            right = one.twin
        scores = (self._source.scored.run.scores or {}).get(one.row.query_id, ())
        found = (
            self._item(item, item in correct, scores[place] if place < len(scores) else None)
            for place, item in enumerate(one.ranked[:SHOWN])
        )
        return Example(
            self._query(one),
            tuple(found),
            None if right is None else self._item(right, correct=True),
            self._rank(one, exact),
            one.rank is not None,
        )

    def _query(self, one: Outcome) -> Tile:
        query_id = one.row.query_id
        if self._items_are_texts:
            return Tile(str(query_id), self._gallery.thumb(query_id), None)
        return Tile(str(query_id), None, one.row.text)

    def _item(self, item: ItemId, correct: bool, score: float | None = None) -> Tile:
        if self._items_are_texts:
            return Tile(str(item), None, self._texts.get(str(item)), correct, score)
        return Tile(str(item), self._gallery.thumb(item), None, correct, score)

    def _rank(self, one: Outcome, exact: int | None) -> str:
        words, bundle = self._words, self._source.bundle
        if not any(grade > 0 for grade in (one.row.grades or {}).values()):
            return words["no_answer"]
        if one.rank is not None:
            return words["rank"].format(rank=one.rank)
        if exact is not None and bundle is not None:
            return words["rank_of"].format(rank=exact, of=f"{bundle.item_count:,}")
        return words["rank_beyond"].format(depth=len(one.ranked))
