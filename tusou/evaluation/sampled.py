"""Precision and recall estimated from judgments that were drawn from the pool at random.

Each judged item has the probability with which it was drawn, and stands for as many items as the
reciprocal says (D. Horvitz, D. Thompson, A generalization of sampling without replacement from a
finite universe, 1952). So the estimates are right on average for every system, whether its
results were pooled or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tusou.core.ids import ItemId
from tusou.evaluation.drawn_intervals import mean_interval, share_interval
from tusou.evaluation.metrics import DEEPER_KS, KS, Values


@dataclass(frozen=True, slots=True)
class SampledRanking:
    """The results of one query, its judged items, and the probability that each was drawn."""

    ranked: Sequence[ItemId]
    grades: Mapping[ItemId, int]
    probabilities: Mapping[ItemId, float]  # above 0, at most 1


@dataclass(frozen=True, slots=True)
class EstimatedShare:
    """A share with its 95 % interval over queries and draws; above 1 if few items were drawn."""

    value: float
    interval: tuple[float, float]


def estimate_metrics(
    queries: Sequence[SampledRanking], depth: int = 10
) -> dict[str, EstimatedShare]:
    """Return the estimates of precision@k and recall@k; nothing without queries.

    `depth` is the length of the lists. Precision is the mean over the queries. Recall is that of
    all queries together, the share of all correct items that stands among the first k of its
    query: the recall of a single query cannot be estimated where few of its items were drawn.
    """
    if not queries:
        return {}
    correct = np.array([_count_correct(query) for query in queries])
    rarest = min((p for query in queries for p in query.probabilities.values()), default=1.0)
    table = _WeightTable.of(queries, depth)
    estimates: dict[str, EstimatedShare] = {}
    for k in (k for k in KS + DEEPER_KS if k <= depth):
        hits = table.correct[:, :k].sum(axis=1)
        unseen = table.unseen_weight(k, 1 / rarest - 1)
        precision = mean_interval(hits / k, unseen / k)
        estimates[f"estimated_precision@{k}"] = EstimatedShare(float(hits.mean()) / k, precision)
        recall = share_interval(hits, np.maximum(correct - hits, 0.0), unseen, 1 / rarest - 1)
        total = float(correct.sum())
        share = float(hits.sum()) / total if total else 0.0
        estimates[f"estimated_recall@{k}"] = EstimatedShare(share, recall)
    return estimates


@dataclass(frozen=True, slots=True, eq=False)
class _WeightTable:
    """Weights of the judged items at each rank of n lists, (n, depth) each; 0 elsewhere."""

    correct: Values  # of the correct items
    others: Values  # items without a judgment that a judged one stands for: its weight less 1
    unjudged: Values  # 1 for an item without a judgment

    @classmethod
    def of(cls, queries: Sequence[SampledRanking], depth: int) -> "_WeightTable":
        correct, others, unjudged = np.zeros((3, len(queries), depth))
        for row, query in enumerate(queries):
            for rank, item in enumerate(query.ranked[:depth]):
                probability = query.probabilities.get(item)
                if probability is None:
                    unjudged[row, rank] = 1
                    continue
                others[row, rank] = 1 / probability - 1
                if query.grades.get(item, 0) > 0:
                    correct[row, rank] = 1 / probability
        return cls(correct, others, unjudged)

    def unseen_weight(self, k: int, largest: float) -> float:
        """Return what an item among the first k may have stood for, had it been drawn.

        The judged items stand for about as many others as there are. Where they stand for fewer,
        none of the items with small probabilities was drawn, which stand for up to `largest`.
        """
        unjudged = float(self.unjudged[:, :k].sum())
        others = self.others[:, :k]
        unexplained = unjudged - float(others.sum())
        return min(2 * unjudged, max(float(others.max()), min(largest, unexplained)))


def _count_correct(query: SampledRanking) -> float:
    """Return the estimated number of correct items of a query, in its list or not."""
    return sum(1 / query.probabilities[item] for item, grade in query.grades.items() if grade > 0)
