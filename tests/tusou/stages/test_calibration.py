"""Relevances are the fitted probabilities of the stages that scored a hit, and never rise."""

import numpy as np
import pytest

from tusou.bundle.calibration_file import Curve, RelevanceCurves, StageNames
from tusou.stages.calibration import RankedScores, apply_curves


def curves(score: float, intercept: float, threshold: float = 0.5) -> RelevanceCurves:
    curve = Curve(weights={"score": score}, intercept=intercept)
    return RelevanceCurves(hit=curve, answer=curve, threshold=threshold)


def logistic(value: float) -> float:
    return round(float(1 / (1 + np.exp(-value))), 6)


RETRIEVED: dict[StageNames, RelevanceCurves] = {"retrieve": curves(10, -4)}
STAGED: dict[StageNames, RelevanceCurves] = {
    **RETRIEVED,
    "adjust": curves(20, -8),
    "adjust+rerank": RelevanceCurves(
        hit=Curve(weights={"rerank": 6}, intercept=-3),
        answer=Curve(weights={"rerank": 2}, intercept=0),
        threshold=0.9,
    ),
}


def test_a_relevance_is_the_weighted_sum_on_the_logistic_curve() -> None:
    weights = {"score": 10.0, "margin": 5.0, "best": 1.0, "refused": -1.0, "hub_bias": -2.0}
    curve = Curve.model_validate({"weights": weights, "intercept": -4.0})
    found = {"retrieve": RelevanceCurves(hit=curve, answer=curve, threshold=0.5)}
    ranked = RankedScores(np.array([0.5]), pool_cosine=0.2, refuses=True, adjusted=np.array([0.4]))
    expected = logistic(10 * 0.5 + 5 * 0.3 + 0.5 - 1 - 2 * 0.1 - 4)
    relevances = apply_curves({**found, "adjust": found["retrieve"]}, ranked)
    assert relevances.hits == pytest.approx([expected])
    assert relevances.answer == pytest.approx(expected)
    assert relevances.fits


def test_between_knots_a_relevance_lies_on_a_line() -> None:
    curve = Curve(weights={"score": 1.0}, intercept=0.0, knots=((0.1, 0.0), (0.3, 0.5), (0.5, 1.0)))
    found: dict[StageNames, RelevanceCurves] = {
        "retrieve": RelevanceCurves(hit=curve, answer=curve, threshold=0.5)
    }
    scores = np.array([0.9, 0.4, 0.3, 0.15, 0.0])
    relevances = apply_curves(found, RankedScores(scores, 0.0))
    assert relevances.hits == pytest.approx([1.0, 0.75, 0.5, 0.125, 0.0])


@pytest.mark.parametrize(("score", "fits"), [(0.4, True), (0.39, False)])
def test_an_answer_fits_from_the_threshold_on(score: float, fits: bool) -> None:
    assert apply_curves(RETRIEVED, RankedScores(np.array([score, 0.1]), 0.0)).fits is fits


def test_an_empty_answer_fits_nothing() -> None:
    relevances = apply_curves(RETRIEVED, RankedScores(np.empty(0), 0.0))
    assert (relevances.hits.tolist(), relevances.answer, relevances.fits) == ([], 0.0, False)


def test_a_hit_is_no_more_relevant_than_the_one_before() -> None:
    """A stage has put an item of a lower cosine first."""
    relevances = apply_curves(RETRIEVED, RankedScores(np.array([0.4, 0.2, 0.5]), 0.0))
    assert relevances.hits == pytest.approx([0.5, logistic(-2), logistic(-2)])


def test_a_hit_is_no_more_relevant_than_the_answer() -> None:
    unsure = RelevanceCurves(
        hit=Curve(weights={"score": 10}, intercept=-2),
        answer=Curve(weights={}, intercept=0),
        threshold=0.5,
    )
    relevances = apply_curves({"retrieve": unsure}, RankedScores(np.array([0.4, 0.1]), 0.0))
    assert relevances.hits == pytest.approx([0.5, logistic(-1)])
    assert relevances.answer == 0.5


def test_the_curves_are_those_of_the_stages_that_scored_a_hit() -> None:
    adjusted, reranked = np.array([0.3, 0.2, 0.1]), np.array([0.9, np.nan, np.nan])
    cosines = np.array([0.4, 0.4, 0.3])
    plain = apply_curves(STAGED, RankedScores(cosines, 0.0))
    assert plain.hits == pytest.approx([0.5, 0.5, logistic(-1)])
    after_adjusting = apply_curves(STAGED, RankedScores(cosines, 0.0, adjusted=adjusted))
    assert after_adjusting.hits == pytest.approx([0.5, 0.5, logistic(-2)])
    both = apply_curves(STAGED, RankedScores(cosines, 0.0, adjusted=adjusted, reranked=reranked))
    assert both.answer == pytest.approx(logistic(2 * 0.9))
    assert both.hits == pytest.approx([both.answer, 0.5, logistic(-2)])
    assert not both.fits  # of its own threshold


def test_stages_without_curves_of_their_own_have_those_of_retrieval() -> None:
    cosines = np.array([0.4, 0.3])
    ranked = RankedScores(cosines, 0.0, adjusted=cosines - 0.2, reranked=np.array([0.1, 0.2]))
    assert apply_curves(RETRIEVED, ranked).hits == pytest.approx([0.5, logistic(-1)])


def test_the_first_hit_without_a_second_score_decides_by_its_first_one() -> None:
    ranked = RankedScores(
        np.array([0.4, 0.3]), 0.0, adjusted=np.array([0.4, 0.3]), reranked=np.array([np.nan, 0.9])
    )
    relevances = apply_curves(STAGED, ranked)
    assert relevances.answer == pytest.approx(0.5)
    assert relevances.hits == pytest.approx([0.5, 0.5])
