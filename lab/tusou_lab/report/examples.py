"""Example rows of a report: the query, its first results, and a correct item with its rank."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadImage, UnknownItem
from tusou.core.ids import ItemId
from tusou.images.preprocess import open_image
from tusou_lab.html_page import shrink
from tusou_lab.report.analysis import QueryOutcome, exact_ranks, sample_evenly
from tusou_lab.report.inputs import ReportRun
from tusou_lab.strings import Strings

_SHOWN_RESULTS = 5


@dataclass(frozen=True, slots=True)
class ExampleTile:
    """One item with its id, and its image or its text where it has one."""

    item_id: str
    thumbnail: bytes | None  # WebP
    text: str | None
    correct: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """One query with its first results and a correct item."""

    query: ExampleTile
    results: tuple[ExampleTile, ...]
    correct: ExampleTile | None
    rank: str
    hit: bool


def make_thumbnail(bundles: Sequence[Bundle], item_id: ItemId) -> bytes | None:
    """Return a small WebP of an item; None if no bundle has its image or can still read it."""
    for bundle in bundles:
        with suppress(UnknownItem, BadImage):
            return shrink(open_image(bundle.image(str(item_id))[0]).convert("RGB"))
    return None


class ExampleBuilder:
    """Builds example rows from the outcomes of one run."""

    def __init__(
        self,
        run: ReportRun,
        find_thumbnail: Callable[[ItemId], bytes | None],
        texts: Mapping[str, str],
        words: Strings,
        count: int,
    ) -> None:
        self._run, self._find_thumbnail = run, find_thumbnail
        self._texts, self._words, self.count = texts, words, count
        self._items_are_texts = run.direction == "image_to_text"

    def build(
        self, outcomes: Sequence[QueryOutcome], *, exact: bool = False
    ) -> tuple[ExampleRow, ...]:
        """Return rows at even distances; `exact` finds ranks beyond the results."""
        sampled = sample_evenly(outcomes, self.count)
        ranks = exact_ranks(self._run, sampled) if exact else {}
        return tuple(self._row(outcome, ranks.get(outcome.query.line)) for outcome in sampled)

    def _row(self, outcome: QueryOutcome, exact_rank: int | None) -> ExampleRow:
        correct = outcome.correct
        if outcome.duplicated is not None:
            shown: ItemId | None = outcome.duplicated
        elif outcome.rank:
            shown = outcome.ranking[outcome.rank - 1]
        else:
            shown = next(iter(correct), None)
        scores = (self._run.scored.run.scores or {}).get(outcome.query.query_id, ())
        results = (
            self._item(item, item in correct, scores[position] if position < len(scores) else None)
            for position, item in enumerate(outcome.ranking[:_SHOWN_RESULTS])
        )
        return ExampleRow(
            self._query(outcome),
            tuple(results),
            None if shown is None else self._item(shown, correct=True),
            self._rank(outcome, exact_rank),
            outcome.rank is not None,
        )

    def _query(self, outcome: QueryOutcome) -> ExampleTile:
        query = outcome.query
        if self._items_are_texts:
            return ExampleTile(str(query.query_id), self._find_thumbnail(query.query_id), None)
        return ExampleTile(str(query.query_id), None, query.text)

    def _item(self, item: ItemId, correct: bool, score: float | None = None) -> ExampleTile:
        if self._items_are_texts:
            return ExampleTile(str(item), None, self._texts.get(str(item)), correct, score)
        return ExampleTile(str(item), self._find_thumbnail(item), None, correct, score)

    def _rank(self, outcome: QueryOutcome, exact_rank: int | None) -> str:
        words, bundle = self._words, self._run.bundle
        if not outcome.correct:
            return words["no_answer"]
        if outcome.rank is not None:
            return words["rank"].format(rank=outcome.rank)
        if exact_rank is not None and bundle is not None:
            return words["rank_of"].format(rank=exact_rank, of=f"{bundle.item_count:,}")
        return words["rank_beyond"].format(depth=f"{len(outcome.ranking):,}")
