"""Reranking of one ranking: order, unscored items, the deadline and failures."""

import logging
from time import monotonic

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rerankers import ChosenScores
from tusou.core.errors import TusouError
from tusou.stages.base import RerankTask
from tusou.stages.reranking import Reranking, rerank_order


def task(count: int) -> RerankTask:
    cosines = np.linspace(0.9, 0.1, count, dtype=np.float32)
    vector = np.ones(2, np.float32)
    return RerankTask(("裙",), vector, tuple(range(100, 100 + count)), cosines, None)  # type: ignore[arg-type]


SCORES = st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=12)


@given(SCORES, st.sampled_from([0.0, 0.25, 1.0]))
def test_unscored_items_keep_their_positions_and_the_others_are_ordered(
    drawn: list[int | None], weight: float
) -> None:
    scores = np.array([np.nan if score is None else score for score in drawn], np.float32)
    cosines = np.linspace(0.9, 0.1, len(scores), dtype=np.float32)
    order = rerank_order(cosines, scores, weight)
    assert sorted(order) == list(range(len(scores)))
    assert all(order[n] == n for n, score in enumerate(drawn) if score is None)
    scored = [n for n in order if drawn[n] is not None]
    combined = [(1 - weight) * cosines[n] + weight * scores[n] for n in scored]
    for (n, score), (later, other) in zip(
        zip(scored, combined, strict=True),
        list(zip(scored, combined, strict=True))[1:],
        strict=False,
    ):
        assert (score, -n) > (other, -later)


def test_all_items_are_scored_without_a_deadline() -> None:
    reranking = Reranking(task(7))
    reranking.run(ChosenScores(float))
    assert reranking.scores.tolist() == list(range(100, 107))
    assert reranking.outcome(reranking.scores) == "complete"


def test_what_the_deadline_cuts_off_has_no_score() -> None:
    reranking = Reranking(task(7))

    def pass_deadline() -> None:
        while monotonic() < until:
            pass

    until = monotonic() + 0.05
    reranking.run(ChosenScores(float, part=3, before_part=pass_deadline), until)
    assert np.isfinite(reranking.scores).tolist() == [True] * 3 + [False] * 4
    assert reranking.outcome(reranking.scores) == "partial"


def test_nothing_is_scored_after_the_deadline() -> None:
    reranker, reranking = ChosenScores(float), Reranking(task(3))
    reranking.run(reranker, monotonic())
    assert not reranker.tasks
    assert reranking.outcome(reranking.scores) == "partial"


def test_a_caller_that_no_longer_waits_stops_it() -> None:
    reranking = Reranking(task(9))
    reranker = ChosenScores(float, part=2)
    reranker.before_part = lambda: setattr(reranking, "stopped", True)
    reranking.run(reranker)
    assert np.count_nonzero(np.isfinite(reranking.scores)) == 2


@pytest.mark.parametrize(
    "error", [TusouError("away"), ConnectionError("away"), RuntimeError("CUDA"), KeyError("x")]
)
def test_a_failure_keeps_the_scores_before_it(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    reranking = Reranking(task(6))
    reranker = ChosenScores(float, part=2)

    def fail_at_the_second() -> None:
        if np.isfinite(reranking.scores).any():
            raise error

    reranker.before_part = fail_at_the_second
    with caplog.at_level(logging.INFO):
        reranking.run(reranker)
    assert np.isfinite(reranking.scores).tolist() == [True, True, *[False] * 4]
    assert reranking.outcome(reranking.scores) == "failed"
    assert "the reranker failed" in caplog.text


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_none(score: float) -> None:
    reranking = Reranking(task(2))
    reranking.run(ChosenScores(lambda key: score if key == 100 else 0.5))
    assert np.isfinite(reranking.scores).tolist() == [False, True]
    assert rerank_order(reranking.task.cosines, reranking.scores, 1.0) == [0, 1]
