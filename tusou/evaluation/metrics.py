"""Retrieval metrics by their exact names, for each query; every one is between 0 and 1.

`hit@k` is what the MUGE scorer and its published tables call R@k: whether at least one correct
item is among the first k. A query with no correct item scores zero everywhere and stays in the
denominator. A correct item has a grade of 1 or more; only nDCG asks for more than that it is
correct, as `trec_eval` does.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.core.ids import ItemId

KS = (1, 5, 10)
# Reported as well where the lists are long enough.
DEEPER_KS = (100, 1000)

# One number a query, in the order of the queries.
Values: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgedRanking:
    """One query: what was found, best first and without repeats, and what is correct.

    `correct` may give each item's grade; items of grade 0 or less are not correct.
    """

    ranked: Sequence[ItemId]
    correct: Collection[ItemId] | Mapping[ItemId, int]

    @property
    def grades(self) -> Mapping[ItemId, int]:
        """The grade of every correct item."""
        if not isinstance(self.correct, Mapping):
            return dict.fromkeys(self.correct, 1)
        return {item: grade for item, grade in self.correct.items() if grade > 0}


@dataclass(frozen=True, slots=True, eq=False)
class GainTable:
    """What stands at each rank of n lists, and what could stand there; both (n, depth)."""

    gains: Values  # the grade of the item found; 0 where it is not correct or the list has ended
    ideal: Values  # the highest grades there are, descending
    correct: Values  # (n,), how many items are correct

    @classmethod
    def of(cls, queries: Sequence[JudgedRanking], depth: int) -> Self:
        """Mark the first `depth` items of every list."""
        gains, ideal = np.zeros((2, len(queries), depth))
        correct = np.zeros(len(queries))
        for row, query in enumerate(queries):
            grades = query.grades
            found = [grades.get(item, 0) for item in query.ranked[:depth]]
            best = sorted(grades.values(), reverse=True)[:depth]
            gains[row, : len(found)], ideal[row, : len(best)] = found, best
            correct[row] = len(grades)
        return cls(gains, ideal, correct)

    def hits(self, k: int) -> npt.NDArray[np.bool_]:
        """Tell for each of the first k found whether it is correct, (n, k)."""
        return np.greater(self.gains[:, :k], 0)


def hit(marks: GainTable, k: int) -> Values:
    """1 when at least one of the first k is correct, else 0."""
    return np.asarray(marks.hits(k).any(axis=1), np.float64)


def recall(marks: GainTable, k: int) -> Values:
    """The share of the correct items that is among the first k."""
    return _share(marks.hits(k).sum(axis=1), marks.correct)


def precision(marks: GainTable, k: int) -> Values:
    """The share of k that is correct, even where fewer than k were found or exist."""
    return np.asarray(marks.hits(k).sum(axis=1) / k, np.float64)


def reciprocal_rank(marks: GainTable, k: int) -> Values:
    """1 / rank of the first correct item among the first k, else 0."""
    hits = marks.hits(k)
    first: Values = hits.argmax(axis=1) + 1.0
    return _share(np.asarray(hits.any(axis=1)), first)


def average_precision(marks: GainTable, k: int) -> Values:
    """Precision at the rank of each correct item found, summed, over the number of correct items.

    That number is the whole of it even where k is less, as in `trec_eval`'s map_cut.
    """
    hits = marks.hits(k)
    at_rank = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _share((at_rank * hits).sum(axis=1), marks.correct)


def ndcg(marks: GainTable, k: int) -> Values:
    """Discounted gain over the best any order could have: gain = grade, discount log2(rank + 1)."""
    discount = 1 / np.log2(np.arange(2, marks.gains.shape[1] + 2))[:k]
    return _share(marks.gains[:, :k] @ discount, marks.ideal[:, :k] @ discount)


def _share(part: npt.NDArray[np.generic], whole: Values) -> Values:
    """Divide, and give 0 where there is nothing to have a share of."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0))


def per_query(queries: Sequence[JudgedRanking], depth: int = 10) -> dict[str, Values]:
    """Give every metric's values in query order; `depth` is how many items each list holds.

    Metrics that look deeper than the lists are left out: hit@10 of five items is a hit@5.
    """
    marks = GainTable.of(queries, depth)
    ks = [k for k in KS + DEEPER_KS if k <= depth]
    values = {f"hit@{k}": hit(marks, k) for k in ks}
    if depth >= KS[-1]:
        values["mean_recall"] = (values["hit@1"] + values["hit@5"] + values["hit@10"]) / 3
    values |= {f"recall@{k}": recall(marks, k) for k in ks}
    values |= {f"precision@{k}": precision(marks, k) for k in ks}
    last = max(k for k in KS if k <= depth)
    return values | {
        f"mrr@{last}": reciprocal_rank(marks, last),
        f"map@{last}": average_precision(marks, last),
        f"ndcg@{last}": ndcg(marks, last),
    }


def means(values: Mapping[str, Values]) -> dict[str, float]:
    """Average each metric over the queries; no queries score zero."""
    scores = {name: _mean(column) for name, column in values.items()}
    if "mean_recall" in scores:
        # The same order of operations as the official scorer's, so that every digit agrees.
        scores["mean_recall"] = (scores["hit@1"] + scores["hit@5"] + scores["hit@10"]) / 3
    return scores


def headline(values: Mapping[str, object]) -> str:
    """Name the metric that stands for all: mean_recall, or the deepest hit there is."""
    hits = [name for name in values if name.startswith("hit@")]
    return "mean_recall" if "mean_recall" in values else hits[-1]


def score(queries: Sequence[JudgedRanking], depth: int = 10) -> dict[str, float]:
    """Average every metric over the queries."""
    return means(per_query(queries, depth))


def _mean(values: Values) -> float:
    return math.fsum(values) / len(values) if len(values) else 0.0
