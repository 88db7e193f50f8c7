"""Fitted curves agree with scipy's optimum, never fall, and leave out features of a wrong sign."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize
from tusou_lab.calibrate.fit import fit_curve

from tusou.stages.calibration import FeatureTable, curve_values, probabilities

Values = npt.NDArray[np.float64]


def drawn(count: int = 2000, seed: int = 1) -> tuple[FeatureTable, Values]:
    """Return features of hits whose probability is a logistic function of score and margin."""
    random = np.random.default_rng(seed)
    score, level = random.normal(0.3, 0.08, count), random.normal(0.1, 0.03, count)
    sums = 25 * score + 10 * (score - level) - 11
    table: FeatureTable = {
        "score": score,
        "margin": score - level,
        "refused": (random.random(count) < 0.1).astype(np.float64),
    }
    return table, (random.random(count) < 1 / (1 + np.exp(-sums))).astype(np.float64)


def test_a_logistic_curve_is_the_optimum_that_scipy_finds() -> None:
    table, outcomes = drawn()
    curve = fit_curve(table, outcomes, "logistic")
    columns = np.column_stack([table["score"], table["margin"], table["refused"]])
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)

    def loss(solution: Values) -> float:
        sums = scaled @ solution[:-1] + solution[-1]
        mean = np.mean(np.logaddexp(0, sums) - outcomes * sums)
        return float(mean + 1e-4 * np.square(solution[:-1]).sum() / 2)

    optimum = optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    sums = scaled @ optimum[:-1] + optimum[-1]
    np.testing.assert_allclose(probabilities(curve, table), 1 / (1 + np.exp(-sums)), atol=1e-5)


def test_an_isotonic_curve_has_the_blocks_that_scipy_finds() -> None:
    table, outcomes = drawn(500)
    curve = fit_curve(table, outcomes, "isotonic")
    sums = curve.intercept + sum(weight * table[name] for name, weight in curve.weights.items())
    order = np.argsort(sums)
    fitted = optimize.isotonic_regression(outcomes[order])
    starts = fitted.blocks[:-1]
    means = [part.mean() for part in np.split(sums[order], starts[1:])]
    knots = np.array(curve.knots)
    np.testing.assert_allclose(knots[:, 0], means, atol=1e-9)
    np.testing.assert_allclose(knots[:, 1], fitted.x[starts], atol=1e-12)


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_a_higher_score_never_has_a_lower_relevance(kind: str) -> None:
    """Although in these values a higher score is less often right."""
    table, outcomes = drawn()
    curve = fit_curve(table, 1 - outcomes, "logistic" if kind == "logistic" else "isotonic")
    scores = np.linspace(-1, 1, 50)
    same_query: FeatureTable = {
        "score": scores,
        "margin": scores - 0.1,
        "refused": np.zeros(50),
        "hub_bias": np.zeros(50),
    }
    assert (np.diff(probabilities(curve, same_query)) >= 0).all()
    assert not {"score", "margin"} & curve.weights.keys()


def test_a_hub_is_never_preferred() -> None:
    table, outcomes = drawn()
    table["hub_bias"] = outcomes + np.random.default_rng(3).normal(0, 0.5, len(outcomes))
    assert "hub_bias" not in fit_curve(table, outcomes, "logistic").weights
    table["hub_bias"] = -table["hub_bias"]
    assert fit_curve(table, outcomes, "logistic").weights["hub_bias"] < 0


def test_features_that_separate_the_outcomes_have_finite_weights() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4])
    table: FeatureTable = {"score": scores, "margin": scores, "refused": np.zeros(4)}
    curve = fit_curve(table, np.array([0.0, 0.0, 1.0, 1.0]), "logistic")
    low, high = probabilities(curve, table)[[0, -1]]
    assert low < 0.05
    assert high > 0.95


def test_beyond_the_outer_knots_an_isotonic_curve_is_flat() -> None:
    table, outcomes = drawn(500)
    curve = fit_curve(table, outcomes, "isotonic")
    (first, lowest), *_, (last, highest) = curve.knots
    ends = curve_values(curve, np.array([first - 100, last + 100]))
    assert ends.tolist() == [lowest, highest]
