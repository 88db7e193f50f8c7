"""Metrics against values worked out by hand."""

import math

import pytest

from tusou.evaluation.metrics import (
    Judged,
    hit,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
    score,
)

# Correct items 1..4; the list finds three of them, at ranks 2, 3 and 7.
QUERY = Judged(ranked=[50, 1, 2, 51, 52, 53, 3, 54, 55, 56], correct=(1, 2, 3, 4))
NOTHING_FOUND = Judged(ranked=list(range(50, 60)), correct=(1,))
NO_ANSWER = Judged(ranked=list(range(50, 60)), correct=())
PERFECT = Judged(ranked=[1, 2, 3, 50, 51, 52, 53, 54, 55, 56], correct=(3, 2, 1))


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 1.0), (5, 1.0), (10, 1.0)])
def test_hit_asks_for_at_least_one(k: int, expected: float) -> None:
    assert hit(QUERY, k) == expected


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 1 / 4), (5, 2 / 4), (10, 3 / 4)])
def test_recall_is_of_the_correct_items(k: int, expected: float) -> None:
    assert recall(QUERY, k) == expected


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 1 / 2), (5, 2 / 5), (10, 3 / 10)])
def test_precision_divides_by_k(k: int, expected: float) -> None:
    assert precision(QUERY, k) == expected


def test_precision_divides_by_k_even_when_fewer_items_are_correct_or_found() -> None:
    assert precision(PERFECT, 10) == 3 / 10
    assert precision(Judged([1], (1,)), 10) == 1 / 10


def test_reciprocal_rank_is_of_the_first_correct_item() -> None:
    assert reciprocal_rank(QUERY, 10) == 1 / 2
    assert reciprocal_rank(QUERY, 1) == 0.0
    assert reciprocal_rank(PERFECT, 10) == 1.0


def test_ndcg() -> None:
    gained = 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(8)
    best = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4) + 1 / math.log2(5)
    assert ndcg(QUERY, 10) == pytest.approx(gained / best, abs=1e-15)
    # Known to every digit: ranks 1 and 3 of two correct items.
    assert ndcg(Judged([1, 50, 2], (1, 2)), 10) == pytest.approx(0.9197207891481876, abs=1e-15)
    assert ndcg(PERFECT, 10) == 1.0


def test_ndcg_is_perfect_when_k_is_full_of_correct_items() -> None:
    assert ndcg(Judged(list(range(10)), range(30)), 10) == 1.0


@pytest.mark.parametrize("metric", [hit, recall, precision, reciprocal_rank, ndcg])
@pytest.mark.parametrize("query", [NOTHING_FOUND, NO_ANSWER, Judged((), (1,)), Judged((), ())])
def test_nothing_right_is_zero(metric, query: Judged) -> None:
    assert metric(query, 10) == 0.0


@pytest.mark.parametrize("metric", [hit, recall, precision, reciprocal_rank, ndcg])
def test_ids_may_be_text(metric) -> None:
    as_text = Judged([str(item) for item in QUERY.ranked], {str(item) for item in QUERY.correct})
    assert metric(as_text, 5) == metric(QUERY, 5)


def test_an_integer_is_not_its_text() -> None:
    assert hit(Judged([1], ("1",)), 1) == 0.0


def test_an_answer_listed_twice_counts_once() -> None:
    assert recall(Judged([1, 2], (1, 1, 2, 2, 3, 3)), 2) == 2 / 3


def test_score_averages_over_all_queries_and_keeps_those_without_an_answer() -> None:
    scores = score([QUERY, PERFECT, NOTHING_FOUND, NO_ANSWER])
    assert list(scores) == [
        "hit@1", "hit@5", "hit@10", "mean_recall",
        "recall@1", "recall@5", "recall@10",
        "precision@1", "precision@5", "precision@10",
        "mrr@10", "ndcg@10",
    ]  # fmt: skip
    assert (scores["hit@1"], scores["hit@5"], scores["hit@10"]) == (1 / 4, 2 / 4, 2 / 4)
    assert scores["mean_recall"] == (1 / 4 + 2 / 4 + 2 / 4) / 3
    assert scores["recall@5"] == (2 / 4 + 1) / 4
    assert scores["precision@10"] == pytest.approx((3 / 10 + 3 / 10) / 4)
    assert scores["mrr@10"] == (1 / 2 + 1) / 4


def test_shorter_lists_have_no_deeper_metrics() -> None:
    scores = score([Judged([1, 2, 3, 4, 5], (5,))], depth=5)
    assert list(scores) == [
        "hit@1", "hit@5", "recall@1", "recall@5", "precision@1", "precision@5", "mrr@5", "ndcg@5",
    ]  # fmt: skip


def test_no_queries_score_zero() -> None:
    assert set(score([]).values()) == {0.0}
