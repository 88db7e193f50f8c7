"""Where the right item stood, and what stood in its place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.ids import ItemId
from tusou.evaluation.bootstrap import interval
from tusou.evaluation.judgments import JudgedQuery
from tusou.evaluation.metrics import Values
from tusou.evaluation.slices import slice_queries
from tusou_lab.report.inputs import Source

# Images whose vectors are this close are the same to anyone who looks: cosines of one image
# saved at two sizes or qualities.
SAME = 0.985


@dataclass(frozen=True, slots=True)
class Part:
    """Queries that have something in common, and what they scored; percent."""

    by: str
    label: str
    count: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one query."""

    row: JudgedQuery
    ranked: tuple[ItemId, ...]
    rank: int | None  # of the first correct item; None when the list ends before it
    twin: ItemId | None  # a correct item that looks like the wrong one at rank 1


def outcomes(source: Source) -> list[Outcome]:
    """Judge every query of a run."""
    found = []
    for row, ranked in source.queries():
        correct = {item for item, grade in (row.grades or {}).items() if grade > 0}
        rank = next((place for place, item in enumerate(ranked, 1) if item in correct), None)
        wrong_first = ranked[0] if ranked and rank != 1 else None
        found.append(Outcome(row, ranked, rank, _twin(source.bundle, wrong_first, correct)))
    return found


def parts(source: Source, metric: str) -> list[Part]:
    """Score each slice of the queries on its own."""
    values = source.scored.values[metric]
    return [
        Part(one.by, one.label, len(one.positions), *_percent(values[one.positions]))
        for one in slice_queries(source.scored.answers)
    ]


def _percent(values: Values) -> tuple[float, float, float]:
    low, high = interval(values)
    return 100 * float(values.mean()), 100 * low, 100 * high


def _twin(bundle: Bundle | None, wrong: ItemId | None, correct: set[ItemId]) -> ItemId | None:
    """Find a correct item whose image is as good as that of the wrong one."""
    if bundle is None or wrong is None:
        return None
    key = bundle.ids.key(str(wrong))
    keys = {item: place for item in correct if (place := bundle.ids.key(str(item))) is not None}
    if key is None or not keys:
        return None
    near = bundle.vectors[list(keys.values())] @ bundle.vectors[key]
    best = int(np.argmax(near))
    return list(keys)[best] if near[best] >= SAME else None


def spread(chosen: Sequence[Outcome], count: int) -> list[Outcome]:
    """Take so many at even distances: a sample that nobody picked."""
    if len(chosen) <= count:
        return list(chosen)
    return [chosen[round(place)] for place in np.linspace(0, len(chosen) - 1, count)]
