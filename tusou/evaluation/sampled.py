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
from tusou.evaluation.bootstrap import intervals
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
    correct = np.array([_weigh(query, query.grades) for query in queries])
    ratios: dict[str, _Ratio] = {}
    for k in (k for k in KS + DEEPER_KS if k <= depth):
        found = np.array([_weigh(query, query.ranked[:k]) for query in queries])
        ratios[f"estimated_precision@{k}"] = _Ratio(found / k, np.ones(len(queries)))
        ratios[f"estimated_recall@{k}"] = _Ratio(found, correct)
    bounds = intervals({name: ratio.linear_terms for name, ratio in ratios.items()})
    return {
        name: EstimatedShare(ratio.value, (max(bounds[name][0], 0.0), bounds[name][1]))
        for name, ratio in ratios.items()
    }


@dataclass(frozen=True, slots=True)
class _Ratio:
    """The ratio of two sums over the queries, 0 where the second is 0."""

    parts: Values
    wholes: Values

    @property
    def value(self) -> float:
        total = float(self.wholes.sum())
        return float(self.parts.sum()) / total if total else 0.0

    @property
    def linear_terms(self) -> Values:
        """The ratio as a mean over the queries, to the first order: its interval is that mean's."""
        total = float(self.wholes.sum())
        if not total:
            return np.zeros(len(self.parts))
        linear: Values = self.value + (self.parts - self.value * self.wholes) * (
            len(self.parts) / total
        )
        return linear


def _weigh(query: SampledRanking, items: Sequence[ItemId] | Mapping[ItemId, int]) -> float:
    """Return the estimated number of correct items among `items`."""
    return sum(1 / query.probabilities[item] for item in items if query.grades.get(item, 0) > 0)
