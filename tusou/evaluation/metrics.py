"""Retrieval metrics by their exact names; every one is a share between 0 and 1.

`hit@k` is what the MUGE scorer and its published tables call R@k: the share of queries with at
least one correct item among the first k. A query with no correct item scores zero everywhere
and stays in the denominator.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tusou.types import ItemId

KS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Judged:
    """One query: what was found, best first and without repeats, and what is correct."""

    ranked: Sequence[ItemId]
    correct: Collection[ItemId]

    def marks(self, k: int) -> list[bool]:
        """Tell for each of the first k found whether it is correct."""
        correct = set(self.correct)
        return [item in correct for item in self.ranked[:k]]


def hit(query: Judged, k: int) -> float:
    """1 when at least one of the first k is correct, else 0."""
    return float(any(query.marks(k)))


def recall(query: Judged, k: int) -> float:
    """The share of the correct items that is among the first k."""
    correct = len(set(query.correct))
    return sum(query.marks(k)) / correct if correct else 0.0


def precision(query: Judged, k: int) -> float:
    """The share of k that is correct, even where fewer than k were found or exist."""
    return sum(query.marks(k)) / k


def reciprocal_rank(query: Judged, k: int) -> float:
    """1 / rank of the first correct item among the first k, else 0."""
    return next((1 / rank for rank, mark in enumerate(query.marks(k), start=1) if mark), 0.0)


def ndcg(query: Judged, k: int) -> float:
    """Discounted gain over the best any order could have: gain 1, discount log2(rank + 1)."""
    best = sum(map(_discount, range(min(k, len(set(query.correct))))))
    gained = sum(_discount(place) for place, mark in enumerate(query.marks(k)) if mark)
    return gained / best if best else 0.0


def _discount(place: int) -> float:
    return 1 / math.log2(place + 2)


def score(queries: Sequence[Judged], depth: int = 10) -> dict[str, float]:
    """Average every metric over the queries; `depth` is how many items each list holds.

    Metrics that look deeper than the lists are left out: hit@10 of five items is a hit@5.
    """
    ks = [k for k in KS if k <= depth]
    scores = {f"hit@{k}": _mean([hit(query, k) for query in queries]) for k in ks}
    if len(ks) == len(KS):
        # The same order of operations as the official scorer's, so that every digit agrees.
        scores["mean_recall"] = (scores["hit@1"] + scores["hit@5"] + scores["hit@10"]) / 3
    scores |= {f"recall@{k}": _mean([recall(query, k) for query in queries]) for k in ks}
    scores |= {f"precision@{k}": _mean([precision(query, k) for query in queries]) for k in ks}
    scores[f"mrr@{ks[-1]}"] = _mean([reciprocal_rank(query, ks[-1]) for query in queries])
    scores[f"ndcg@{ks[-1]}"] = _mean([ndcg(query, ks[-1]) for query in queries])
    return scores


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
