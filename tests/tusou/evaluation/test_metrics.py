"""Metrics against values worked out by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tusou.evaluation import metrics
from tusou.evaluation.metrics import GainTable, JudgedRanking, Values, per_query, score

Metric = Callable[[JudgedRanking, int], float]


def alone(metric: Callable[[GainTable, int], Values]) -> Metric:
    """Return the metric as a function of one query."""

    def of_one(query: JudgedRanking, k: int) -> float:
        (value,) = metric(GainTable.of([query], 10), k)
        return float(value)

    return of_one


hit, recall, precision = alone(metrics.hit), alone(metrics.recall), alone(metrics.precision)
reciprocal_rank, ndcg = alone(metrics.reciprocal_rank), alone(metrics.ndcg)
average_precision = alone(metrics.average_precision)
ALL = [hit, recall, precision, reciprocal_rank, average_precision, ndcg]

# Correct items 1..4; the list finds three of them, at ranks 2, 3 and 7.
QUERY = JudgedRanking(ranked=[50, 1, 2, 51, 52, 53, 3, 54, 55, 56], correct=(1, 2, 3, 4))
NOTHING_FOUND = JudgedRanking(ranked=list(range(50, 60)), correct=(1,))
NO_ANSWER = JudgedRanking(ranked=list(range(50, 60)), correct=())
PERFECT = JudgedRanking(ranked=[1, 2, 3, 50, 51, 52, 53, 54, 55, 56], correct=(3, 2, 1))


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 1.0), (5, 1.0), (10, 1.0)])
def test_hit_needs_one_correct_item(k: int, expected: float) -> None:
    assert hit(QUERY, k) == expected


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 1 / 4), (5, 2 / 4), (10, 3 / 4)])
def test_recall_divides_by_the_correct_items(k: int, expected: float) -> None:
    assert recall(QUERY, k) == expected


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 1 / 2), (5, 2 / 5), (10, 3 / 10)])
def test_precision_divides_by_k(k: int, expected: float) -> None:
    assert precision(QUERY, k) == expected


def test_precision_divides_by_k_even_when_fewer_items_are_correct_or_found() -> None:
    assert precision(PERFECT, 10) == 3 / 10
    assert precision(JudgedRanking([1], (1,)), 10) == 1 / 10


def test_reciprocal_rank_is_of_the_first_correct_item() -> None:
    assert reciprocal_rank(QUERY, 10) == 1 / 2
    assert reciprocal_rank(QUERY, 1) == 0.0
    assert reciprocal_rank(PERFECT, 10) == 1.0


def test_ndcg() -> None:
    gained = 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(8)
    best = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(5)
    assert ndcg(QUERY, 10) == pytest.approx(gained / best, abs=1e-15)
    # Known to every digit: ranks 1 and 3 of two correct items.
    assert ndcg(JudgedRanking([1, 50, 2], (1, 2)), 10) == pytest.approx(
        0.9197207891481876, abs=1e-15
    )
    assert ndcg(PERFECT, 10) == 1.0


def test_ndcg_is_perfect_when_k_is_full_of_correct_items() -> None:
    assert ndcg(JudgedRanking(list(range(10)), range(30)), 10) == 1.0


def test_average_precision() -> None:
    assert average_precision(QUERY, 10) == pytest.approx((1 / 2 + 2 / 3 + 3 / 7) / 4, abs=1e-15)
    assert average_precision(QUERY, 2) == 1 / 8
    assert average_precision(PERFECT, 10) == 1.0
    # Ten of the 30 correct items fill the list.
    assert average_precision(JudgedRanking(list(range(10)), range(30)), 10) == pytest.approx(1 / 3)


def test_grades_count_in_ndcg_and_nowhere_else() -> None:
    graded = JudgedRanking([1, 2, 3, 50], {1: 1, 2: 3, 3: 0, 4: 2, 5: -1})
    gained = 1 / math.log2(2) + 3 / math.log2(3)
    best = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(graded, 10) == pytest.approx(gained / best, abs=1e-15)
    binary = JudgedRanking([1, 2, 3, 50], {1, 2, 4})
    for metric in ALL[:-1]:
        assert metric(graded, 3) == metric(binary, 3)


def test_values_of_each_query_in_their_order() -> None:
    values = per_query([QUERY, PERFECT, NOTHING_FOUND, NO_ANSWER])
    np.testing.assert_array_equal(values["hit@1"], [0, 1, 0, 0])
    np.testing.assert_array_equal(values["mean_recall"], [2 / 3, 1, 0, 0])
    np.testing.assert_array_equal(values["recall@10"], [3 / 4, 1, 0, 0])
    np.testing.assert_array_equal(values["mrr@10"], [1 / 2, 1, 0, 0])


def test_long_lists_have_deeper_metrics() -> None:
    deep = JudgedRanking(list(range(100)), [70, 700])
    values = score([deep], 100)
    assert (values["hit@10"], values["hit@100"], values["recall@100"]) == (0, 1, 1 / 2)
    assert values["precision@100"] == 1 / 100
    assert values["mrr@10"] == 0


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    "query", [NOTHING_FOUND, NO_ANSWER, JudgedRanking((), (1,)), JudgedRanking((), ())]
)
def test_no_correct_item_scores_zero(metric: Metric, query: JudgedRanking) -> None:
    assert metric(query, 10) == 0.0


@pytest.mark.parametrize("metric", ALL)
def test_ids_may_be_strings(metric: Metric) -> None:
    as_text = JudgedRanking(
        [str(item) for item in QUERY.ranked], {str(item) for item in QUERY.correct}
    )
    assert metric(as_text, 5) == metric(QUERY, 5)


def test_an_integer_differs_from_its_string() -> None:
    assert hit(JudgedRanking([1], ("1",)), 1) == 0.0


def test_an_answer_listed_twice_counts_once() -> None:
    assert recall(JudgedRanking([1, 2], (1, 1, 2, 2, 3, 3)), 2) == 2 / 3


def test_score_averages_over_all_queries_and_keeps_those_without_an_answer() -> None:
    scores = score([QUERY, PERFECT, NOTHING_FOUND, NO_ANSWER])
    assert list(scores) == [
        "hit@1", "hit@5", "hit@10", "mean_recall",
        "recall@1", "recall@5", "recall@10",
        "precision@1", "precision@5", "precision@10",
        "mrr@10", "map@10", "ndcg@10",
    ]  # fmt: skip
    assert (scores["hit@1"], scores["hit@5"], scores["hit@10"]) == (1 / 4, 2 / 4, 2 / 4)
    assert scores["mean_recall"] == (1 / 4 + 2 / 4 + 2 / 4) / 3
    assert scores["recall@5"] == (2 / 4 + 1) / 4
    assert scores["precision@10"] == pytest.approx((3 / 10 + 3 / 10) / 4)
    assert scores["mrr@10"] == (1 / 2 + 1) / 4


def test_shorter_lists_have_no_deeper_metrics() -> None:
    scores = score([JudgedRanking([1, 2, 3, 4, 5], (5,))], depth=5)
    assert list(scores) == [
        "hit@1", "hit@5", "recall@1", "recall@5", "precision@1", "precision@5",
        "mrr@5", "map@5", "ndcg@5",
    ]  # fmt: skip


def test_no_queries_score_zero() -> None:
    assert set(score([]).values()) == {0.0}
