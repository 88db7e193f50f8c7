"""Agreement of the judges of a set: with each other, between repeats, and about the systems."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from tusou.core.errors import BadDataset
from tusou.core.ids import ItemId
from tusou.evaluation.agreement import (
    Agreement,
    changed_orders,
    kendall_tau,
    measure_agreement,
)
from tusou.evaluation.metrics import JudgedRanking, score
from tusou_lab.evalset.final_grades import PERSON, Pair, last_of_people
from tusou_lab.evalset.judgment import Judgment
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import PooledPair

LEAST_PAIRS = 20  # of a slice, to be shown
_DEPTH = 10


@dataclass(frozen=True, slots=True)
class JudgePair:
    """Two judges, or two repeats of one, and how far they agree."""

    first: str
    second: str
    agreement: Agreement
    by_style: dict[str, Agreement]  # of the queries' styles with enough pairs
    by_concept: dict[str, Agreement]  # of their concepts with enough pairs
    tau: float | None  # of the systems' nDCG@10 by either; None for fewer than two systems
    changed: float | None  # share of the pairs of systems that they order the opposite way


def compare_judges(
    queries: Sequence[PlannedQuery],
    pairs: Sequence[PooledPair],
    judgments: Iterable[Judgment],
    correct_from: int,
) -> list[JudgePair]:
    """Compare any two judges that graded the same pairs, and the repeats of each judge.

    Raises BadDataset when no pair has two grades.
    """
    by_id = {query.query_id: query for query in queries}
    by_judge = _by_judge(judgments)
    compared = [
        _compare(first, second, by_judge[first], by_judge[second], pairs, by_id, correct_from)
        for first, second in combinations(sorted(by_judge), 2)
        if by_judge[first].keys() & by_judge[second].keys()
    ]
    if not compared:
        raise BadDataset(
            "no pair has grades by two judges, or two by one judge: nothing to compare"
        )
    return compared


def _by_judge(judgments: Iterable[Judgment]) -> dict[str, dict[Pair, int]]:
    """Return the grades of each judge, of people the last; a model's repeat counts as a judge."""
    graded: dict[str, dict[Pair, int]] = defaultdict(dict)
    for each in last_of_people(judgments):
        if each.grade is not None:
            is_repeat = each.repeat and not each.judge.startswith(PERSON)
            name = f"{each.judge}#{each.repeat + 1}" if is_repeat else each.judge
            graded[name][each.query_id, each.item_id] = each.grade
    return graded


def _compare(
    first: str,
    second: str,
    ours: Mapping[Pair, int],
    theirs: Mapping[Pair, int],
    pairs: Sequence[PooledPair],
    queries: Mapping[int, PlannedQuery],
    correct_from: int,
) -> JudgePair:
    common = [pair for pair in ours if pair in theirs]

    def measure(selected: Sequence[Pair]) -> Agreement:
        left, right = ([grades[pair] for pair in selected] for grades in (ours, theirs))
        return measure_agreement(left, right, correct_from)

    def measure_slices(name_of: Callable[[PlannedQuery], str | None]) -> dict[str, Agreement]:
        slices: dict[str, list[Pair]] = defaultdict(list)
        for pair in common:
            if (name := name_of(queries[pair[0]])) is not None:
                slices[name].append(pair)
        return {
            name: measure(selected)
            for name, selected in sorted(slices.items())
            if len(selected) >= LEAST_PAIRS
        }

    scores = _score_systems(common, ours, theirs, pairs)
    return JudgePair(
        first,
        second,
        measure(common),
        measure_slices(lambda query: query.style),
        measure_slices(lambda query: query.concept),
        kendall_tau(*scores) if scores else None,
        changed_orders(*scores) if scores else None,
    )


def _score_systems(
    common: Sequence[Pair],
    ours: Mapping[Pair, int],
    theirs: Mapping[Pair, int],
    pairs: Sequence[PooledPair],
) -> tuple[list[float], list[float]] | None:
    """Return the systems' scores by either judge, over the pairs that both judged.

    None for fewer than two systems.
    """
    rankings = _rankings(pairs, set(common))
    if len(rankings) < 2:
        return None
    left, right = (
        [_ndcg(ranking, grades) for ranking in rankings.values()] for grades in (ours, theirs)
    )
    return left, right


def _rankings(pairs: Sequence[PooledPair], common: set[Pair]) -> dict[str, dict[int, list[ItemId]]]:
    """Return each system's results for each query, best first, as far as they were judged."""
    placed: dict[str, dict[int, list[tuple[int, ItemId]]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        if (pair.query_id, pair.item_id) in common:
            for name, rank in pair.ranks.items():
                placed[name][pair.query_id].append((rank, pair.item_id))
    return {
        name: {
            query: [item for _, item in sorted(items, key=lambda each: each[0])]
            for query, items in by_query.items()
        }
        for name, by_query in sorted(placed.items())
    }


def _ndcg(rankings: Mapping[int, Sequence[ItemId]], grades: Mapping[Pair, int]) -> float:
    by_query: dict[int, dict[ItemId, int]] = defaultdict(dict)
    for (query, item), grade in grades.items():
        by_query[query][item] = grade
    judged = [JudgedRanking(items, by_query[query]) for query, items in rankings.items()]
    return score(judged, _DEPTH)[f"ndcg@{_DEPTH}"]
