"""Probabilities of the pairs that have a grade, where some of the drawn ones have none."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tusou_lab.evalset.final_grades import Pair
from tusou_lab.evalset.pool import PooledPair


def answered_probabilities(
    pairs: Sequence[PooledPair], grades: Mapping[Pair, int]
) -> dict[Pair, float]:
    """Return the probability that a pair was drawn and then graded, of each pair with a grade.

    Pairs without a grade are taken for similar to the graded ones of their kind: judged for
    certain, found by a system, or found by none. Queries without any grade do not count.
    """
    queries = {query for query, _ in grades}
    drawn = Counter(_kind(pair) for pair in pairs if pair.query_id in queries)
    graded = [pair for pair in pairs if (pair.query_id, pair.item_id) in grades]
    counts = Counter(map(_kind, graded))
    return {
        (pair.query_id, pair.item_id): pair.probability * counts[_kind(pair)] / drawn[_kind(pair)]
        for pair in graded
    }


def _kind(pair: PooledPair) -> str:
    if pair.probability == 1:
        return "certain"
    return "found" if pair.ranks else "not found"
