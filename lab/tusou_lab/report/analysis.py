"""Outcome of each query: the rank of its first correct item, and duplicates above it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.ids import ItemId
from tusou.evaluation.judgments import JudgedQuery
from tusou_lab.report.inputs import ReportRun

# Images count as duplicates from this cosine of their vectors: one image saved at two sizes or
# qualities reaches it.
DUPLICATE_COSINE = 0.985


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """The ranking of one query, judged."""

    query: JudgedQuery
    ranking: tuple[ItemId, ...]
    rank: int | None  # of the first correct item; None when the ranking has none
    duplicated: ItemId | None  # a correct item of which the wrong first result is a duplicate

    @property
    def correct(self) -> list[ItemId]:
        """All correct items of the query."""
        return [item for item, grade in (self.query.grades or {}).items() if grade > 0]


def outcomes(run: ReportRun) -> list[QueryOutcome]:
    """Judge every query of a run."""
    judged = []
    for query, ranking in run.rankings():
        correct = {item for item, grade in (query.grades or {}).items() if grade > 0}
        rank = next((rank for rank, item in enumerate(ranking, 1) if item in correct), None)
        wrong_first = ranking[0] if ranking and rank != 1 else None
        duplicated = _duplicated_item(run.bundle, wrong_first, correct)
        judged.append(QueryOutcome(query, ranking, rank, duplicated))
    return judged


def _duplicated_item(
    bundle: Bundle | None, wrong: ItemId | None, correct: set[ItemId]
) -> ItemId | None:
    """Return the correct item whose image is a duplicate of the wrong item's image."""
    if bundle is None or wrong is None:
        return None
    key = bundle.ids.key(str(wrong))
    keys = {item: key for item in correct if (key := bundle.ids.key(str(item))) is not None}
    if key is None or not keys:
        return None
    cosines = bundle.vectors[list(keys.values())] @ bundle.vectors[key]
    best = int(np.argmax(cosines))
    return list(keys)[best] if cosines[best] >= DUPLICATE_COSINE else None


def sample_evenly(outcomes: Sequence[QueryOutcome], count: int) -> list[QueryOutcome]:
    """Return at most `count` outcomes at even distances."""
    if len(outcomes) <= count:
        return list(outcomes)
    return [outcomes[round(position)] for position in np.linspace(0, len(outcomes) - 1, count)]
