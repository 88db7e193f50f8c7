"""Figures are of queries that fitted nothing: noise is not learned, probabilities are."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from tusou_lab.calibrate.cross_fit import Predictions, choose_kind, cross_fit, fit_curves
from tusou_lab.calibrate.samples import JudgedAnswer, JudgedScores

from tusou.bundle.calibration_file import RelevanceCurves, StageNames
from tusou.evaluation.reliability import auroc, calibration_error
from tusou.stages.calibration import RankedScores, apply_curves

Values = npt.NDArray[np.float64]
DEPTH = 5


def draw_answers(
    count: int,
    relevance: Callable[[Values], Values],
    *,
    seed: int = 1,
    texts: int | None = None,
    reranked: int = 0,
) -> list[JudgedAnswer]:
    """Draw answers whose hits are right with a probability that their cosine gives.

    Without its right items, an answer has low cosines. The first `reranked` hits have a second
    score, which depends on what is right.
    """
    random = np.random.default_rng(seed)

    def judged(*, present: bool) -> JudgedScores:
        cosines = -np.sort(-random.uniform(0, 0.8 if present else 0.05, DEPTH))
        right = (random.random(DEPTH) < relevance(cosines)) & present
        second = np.where(np.arange(DEPTH) < reranked, right + random.normal(0, 0.5, DEPTH), np.nan)
        ranked = RankedScores(cosines, 0.1, reranked=second if reranked else None)
        return JudgedScores(ranked, right.astype(np.float64))

    names = [f"查询{number % (texts or count)}" for number in range(count)]
    return [JudgedAnswer(name, judged(present=True), judged(present=False)) for name in names]


def steep(cosines: Values) -> Values:
    return 1 / (1 + np.exp(-12 * (cosines - 0.4)))


def stepped(cosines: Values) -> Values:
    return np.where(cosines > 0.7, 0.9, np.where(cosines > 0.2, 0.5, 0.02))


def predict(answers: list[JudgedAnswer], choice: str = "logistic") -> Predictions:
    return cross_fit({"retrieve": answers}, choice)["retrieve"]  # type: ignore[arg-type]


def test_what_is_drawn_from_a_curve_is_calibrated() -> None:
    predictions = predict(draw_answers(1500, steep))
    assert calibration_error(predictions.hits, predictions.right).value < 0.015
    assert calibration_error(predictions.answers, predictions.found).value < 0.04


def test_noise_is_not_learned() -> None:
    """An isotonic curve follows its own queries, and tells them apart better than others."""
    answers = draw_answers(60, lambda cosines: np.full(len(cosines), 0.3))
    predictions = predict(answers, "isotonic")
    held_out = auroc(predictions.hits[:, :DEPTH], predictions.right[:, :DEPTH])
    curves: dict[StageNames, RelevanceCurves] = {"retrieve": fit_curves(answers, "isotonic")}
    fitted = np.array([apply_curves(curves, answer.present.ranked).hits for answer in answers])
    seen = auroc(fitted, predictions.right[:, :DEPTH])
    assert seen.value > held_out.value
    assert held_out.low < 0.5


def test_equal_texts_are_in_one_fold() -> None:
    answers = draw_answers(60, steep, texts=30)
    predictions = predict(answers)
    changed = [
        JudgedAnswer(answer.text, answer.absent, answer.absent) if n == 7 else answer
        for n, answer in enumerate(answers)
    ]
    again = predict(changed)
    # The twin of a changed answer is judged by the same curves as before: they share a fold.
    np.testing.assert_array_equal(again.hits[37], predictions.hits[37])
    different = (again.hits != predictions.hits).any(axis=1)
    assert np.count_nonzero(different) > 40


@pytest.mark.parametrize(("relevance", "kind"), [(steep, "logistic"), (stepped, "isotonic")])
def test_the_kind_with_the_smaller_error_is_chosen(
    relevance: Callable[[Values], Values], kind: str
) -> None:
    answers = draw_answers(600, relevance, seed=3)
    assert choose_kind({"retrieve": answers}, "auto") == kind
    assert choose_kind({"retrieve": answers}, "logistic") == "logistic"


def test_the_threshold_lets_nineteen_of_twenty_answers_with_a_right_item_pass() -> None:
    predictions = predict(draw_answers(400, steep))
    relevances = predictions.answers[predictions.found > 0]
    passing = (relevances >= predictions.threshold).mean()
    assert 0.95 <= passing < 0.955


def test_stages_have_curves_of_their_own_and_late_hits_those_of_retrieval() -> None:
    """Two of five hits have a second score, which tells more than the cosine."""
    plain = draw_answers(400, steep)
    reranked = draw_answers(400, steep, reranked=2)
    predicted = cross_fit({"retrieve": plain, "rerank": reranked}, "logistic")
    curves: dict[StageNames, RelevanceCurves] = {
        "retrieve": fit_curves(plain, "logistic"),
        "rerank": fit_curves(reranked, "logistic"),
    }
    assert curves["rerank"].hit.weights["rerank"] > 0
    assert "rerank" not in curves["retrieve"].hit.weights
    assert predicted["rerank"].brier_score < predicted["retrieve"].brier_score
    assert np.isfinite(predicted["rerank"].hits).all()


def test_an_answer_with_fewer_hits_is_filled_up() -> None:
    answers = draw_answers(40, steep)
    short = JudgedScores(RankedScores(np.array([0.5]), 0.1), np.array([1.0]))
    empty = JudgedScores(RankedScores(np.empty(0), 0.1), np.empty(0))
    predictions = predict([*answers, JudgedAnswer("短", short, empty)])
    assert predictions.hits.shape == predictions.right.shape == (41, 2 * DEPTH)
    assert predictions.right[-1].tolist() == [1.0] + [0.0] * 9
    assert predictions.hits[-1, 1:].tolist() == [0.0] * 9
    assert predictions.answers[-1, 1] == 0.0
