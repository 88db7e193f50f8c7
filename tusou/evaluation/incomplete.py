"""Metrics for judgments that do not cover the whole pool, as those of a pooled evaluation set.

Plain metrics count an item without a judgment as incorrect, which is unfair to a system that was
not pooled. These say how much of a list was judged, or leave the rest out. bpref and infAP are
those of `trec_eval`: C. Buckley, E. Voorhees, Retrieval evaluation with incomplete information,
2004; E. Yilmaz, J. Aslam, Estimating average precision with incomplete and imperfect judgments,
2006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tusou.core.ids import ItemId
from tusou.evaluation.metrics import KS, GainTable, JudgedRanking, Values, average_precision, ndcg
from tusou.evaluation.metrics import precision as precision_at

_UNJUDGED = -1  # the grade of an item that was pooled and drawn for no judgment
_EPSILON = 1e-5  # keeps the share of correct items defined where none was judged, as in trec_eval


def has_incorrect(queries: Sequence[JudgedRanking]) -> bool:
    """Return whether the judgments name incorrect items, and not the correct ones alone."""
    return any(
        grade <= 0
        for query in queries
        if isinstance(query.correct, Mapping)
        for grade in query.correct.values()
    )


def incomplete_metrics(queries: Sequence[JudgedRanking], depth: int = 10) -> dict[str, Values]:
    """Return judged@k, bpref, infAP, and precision, MAP and nDCG of the condensed lists.

    `depth` is the length of the lists; a condensed list holds its judged items alone.
    """
    ks = [k for k in KS if k <= depth]
    values = {f"judged@{k}": _over([judged_share(query, k) for query in queries]) for k in ks}
    table = GainTable.of([condense(query) for query in queries], depth)
    values |= {f"condensed_precision@{k}": precision_at(table, k) for k in ks}
    values[f"condensed_map@{ks[-1]}"] = average_precision(table, ks[-1])
    values[f"condensed_ndcg@{ks[-1]}"] = ndcg(table, ks[-1])
    values["bpref"] = _over([bpref(query) for query in queries])
    values["inf_ap"] = _over([inferred_average_precision(query) for query in queries])
    return values


def judged_share(query: JudgedRanking, k: int) -> float:
    """Return the number of judged items among the first k, divided by k."""
    judged = _judgments(query)
    return sum(judged.get(item, _UNJUDGED) >= 0 for item in query.ranked[:k]) / k


def condense(query: JudgedRanking) -> JudgedRanking:
    """Return a ranking without the items that have no judgment."""
    judged = _judgments(query)
    judged_items = [item for item in query.ranked if judged.get(item, _UNJUDGED) >= 0]
    return replace(query, ranked=judged_items)


def bpref(query: JudgedRanking) -> float:
    """Return bpref, which falls with each judged incorrect item above a correct one."""
    judged = _judgments(query)
    correct = sum(grade > 0 for grade in judged.values())
    incorrect = sum(grade == 0 for grade in judged.values())
    total, above = 0.0, 0
    for item in query.ranked:
        grade = judged.get(item, _UNJUDGED)
        if grade == 0:
            above += 1
        elif grade > 0:
            counted = min(above, correct)
            total += 1 - counted / min(incorrect, correct) if counted else 1
    return total / correct if correct else 0.0


def inferred_average_precision(query: JudgedRanking) -> float:
    """Return the average precision expected from the judged part of the pool.

    Items of grade -1 were in the pool, and drawn for no judgment; others without a judgment were
    not in the pool, and count as incorrect.
    """
    judged = _judgments(query)
    total, pooled, seen_correct, seen_incorrect = 0.0, 0, 0, 0
    for above, item in enumerate(query.ranked):
        grade = judged.get(item)
        if grade is not None and grade > 0:
            share = (seen_correct + _EPSILON) / (seen_correct + seen_incorrect + 2 * _EPSILON)
            total += (1 + pooled * share) / (above + 1)
            seen_correct += 1
        elif grade == 0:
            seen_incorrect += 1
        pooled += grade is not None
    correct = sum(grade > 0 for grade in judged.values())
    return total / correct if correct else 0.0


def _judgments(query: JudgedRanking) -> Mapping[ItemId, int]:
    """Return the grade of every item in the judgments."""
    return query.correct if isinstance(query.correct, Mapping) else query.grades


def _over(values: Sequence[float]) -> Values:
    return np.asarray(values, np.float64)
