"""Retrieval metrics for each query, all between 0 and 1.

`hit@k` is 1 if at least one correct item is among the first k; the MUGE scorer and its published
tables call it R@k. A query without a correct item scores zero in every metric and stays in the
denominator. An item is correct if its grade is 1 or more; only nDCG weights by the grade, as
`trec_eval` does.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.core.ids import ItemId

KS = (1, 5, 10)
# Reported if the lists are long enough.
DEEPER_KS = (100, 1000)

# (n,), one number per query, in the order of the queries.
Values: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgedRanking:
    """The results of one query, best first and without repeats, and its correct items.

    `correct` may map items to grades; items with a grade of 0 or less are not correct.
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
    """The gain at each rank of n lists, and the highest possible gains; both (n, depth)."""

    gains: Values  # grades in list order; 0 for an incorrect item and beyond the end of the list
    ideal: Values  # the grades of the query's correct items, descending
    correct: Values  # (n,), the number of correct items

    @classmethod
    def of(cls, queries: Sequence[JudgedRanking], depth: int) -> Self:
        """Build the table of the first `depth` items of every list."""
        gains, ideal = np.zeros((2, len(queries), depth))
        correct = np.zeros(len(queries))
        for row, query in enumerate(queries):
            grades = query.grades
            ranked = [grades.get(item, 0) for item in query.ranked[:depth]]
            best = sorted(grades.values(), reverse=True)[:depth]
            gains[row, : len(ranked)], ideal[row, : len(best)] = ranked, best
            correct[row] = len(grades)
        return cls(gains, ideal, correct)

    def hits(self, k: int) -> npt.NDArray[np.bool_]:
        """Return whether the item at each of the first k ranks is correct, (n, k)."""
        return np.greater(self.gains[:, :k], 0)


def hit(table: GainTable, k: int) -> Values:
    """Return 1 for a query with a correct item among the first k, else 0."""
    return np.asarray(table.hits(k).any(axis=1), np.float64)


def recall(table: GainTable, k: int) -> Values:
    """Return the share of the correct items that is among the first k."""
    return _divide(table.hits(k).sum(axis=1), table.correct)


def precision(table: GainTable, k: int) -> Values:
    """Return the number of correct items among the first k, divided by k even for shorter lists."""
    return np.asarray(table.hits(k).sum(axis=1) / k, np.float64)


def reciprocal_rank(table: GainTable, k: int) -> Values:
    """Return 1 / rank of the first correct item among the first k, else 0."""
    hits = table.hits(k)
    first: Values = hits.argmax(axis=1) + 1.0
    return _divide(np.asarray(hits.any(axis=1)), first)


def average_precision(table: GainTable, k: int) -> Values:
    """Return the sum of the precisions at the ranks of correct items, over all correct items.

    The divisor is not limited to k, as in `trec_eval`'s map_cut.
    """
    hits = table.hits(k)
    at_rank = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _divide((at_rank * hits).sum(axis=1), table.correct)


def ndcg(table: GainTable, k: int) -> Values:
    """Return the discounted gain over that of the best order: grade / log2(rank + 1), summed."""
    discount = 1 / np.log2(np.arange(2, table.gains.shape[1] + 2))[:k]
    return _divide(table.gains[:, :k] @ discount, table.ideal[:, :k] @ discount)


def _divide(part: npt.NDArray[np.generic], total: Values) -> Values:
    """Return part / total, and 0 where the total is 0."""
    return np.asarray(np.divide(part, total, out=np.zeros(len(total)), where=total > 0))


def per_query(queries: Sequence[JudgedRanking], depth: int = 10) -> dict[str, Values]:
    """Return the values of every metric by its name; `depth` is the length of the lists.

    Metrics deeper than the lists are left out, since hit@10 of five items would be a hit@5.
    """
    table = GainTable.of(queries, depth)
    ks = [k for k in KS + DEEPER_KS if k <= depth]
    values = {f"hit@{k}": hit(table, k) for k in ks}
    if depth >= KS[-1]:
        values["mean_recall"] = (values["hit@1"] + values["hit@5"] + values["hit@10"]) / 3
    values |= {f"recall@{k}": recall(table, k) for k in ks}
    values |= {f"precision@{k}": precision(table, k) for k in ks}
    last = max(k for k in KS if k <= depth)
    return values | {
        f"mrr@{last}": reciprocal_rank(table, last),
        f"map@{last}": average_precision(table, last),
        f"ndcg@{last}": ndcg(table, last),
    }


def means(values: Mapping[str, Values]) -> dict[str, float]:
    """Return the mean of each metric over the queries; 0 without queries."""
    scores = {
        name: math.fsum(column) / len(column) if len(column) else 0.0
        for name, column in values.items()
    }
    if "mean_recall" in scores:
        # The official scorer's order of operations, so that every digit agrees.
        scores["mean_recall"] = (scores["hit@1"] + scores["hit@5"] + scores["hit@10"]) / 3
    return scores


def headline(values: Mapping[str, object]) -> str:
    """Return the name of the main metric: mean_recall, or the deepest hit@k without it."""
    hits = [name for name in values if name.startswith("hit@")]
    return "mean_recall" if "mean_recall" in values else hits[-1]


def score(queries: Sequence[JudgedRanking], depth: int = 10) -> dict[str, float]:
    """Return the mean of every metric over the queries."""
    return means(per_query(queries, depth))
