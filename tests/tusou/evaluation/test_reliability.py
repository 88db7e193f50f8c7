"""Expected calibration error, reliability curve and AUROC have the values of their definitions."""

import numpy as np
import pytest
from scipy import stats

from tusou.evaluation.reliability import (
    ReliabilityBin,
    auroc,
    calibration_error,
    reliability_curve,
)

PROBABILITIES = np.array([[0.05, 0.05], [0.9, 0.9], [0.9, 1.0], [0.55, 0.05]])
OUTCOMES = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])


def test_the_bins_are_tenths_and_the_last_holds_1() -> None:
    first, middle, last = reliability_curve(PROBABILITIES, OUTCOMES)
    assert (first.values, first.observed) == (3, pytest.approx(1 / 3))
    assert middle == ReliabilityBin(1, 0.55, 0.0)
    assert (last.values, last.predicted, last.observed) == (4, pytest.approx(0.925), 1.0)


def test_the_error_is_the_mean_gap_weighted_by_values() -> None:
    gaps = 3 * abs(0.05 - 1 / 3) + 1 * 0.55 + 4 * (1 - 0.925)
    estimate = calibration_error(PROBABILITIES, OUTCOMES)
    assert estimate.value == pytest.approx(gaps / 8)
    assert estimate.low < estimate.value < estimate.high


def test_probabilities_that_come_true_have_no_error() -> None:
    certain = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert calibration_error(certain, certain).value == 0


def test_the_error_of_true_probabilities_is_that_of_chance() -> None:
    random = np.random.default_rng(1)
    probabilities = random.random((4000, 5))
    outcomes = (random.random((4000, 5)) < probabilities).astype(np.float64)
    assert calibration_error(probabilities, outcomes).value < 0.015
    assert calibration_error(np.sqrt(probabilities), outcomes).value == pytest.approx(
        1 / 6, abs=0.01
    )


def test_auroc_is_that_of_the_u_test_ties_included() -> None:
    random = np.random.default_rng(2)
    outcomes = (random.random((300, 2)) < 0.3).astype(np.float64)
    probabilities = np.round(random.normal(outcomes, 1.0), 1)
    true, untrue = probabilities[outcomes > 0], probabilities[outcomes == 0]
    expected = stats.mannwhitneyu(true, untrue).statistic / (len(true) * len(untrue))
    estimate = auroc(probabilities, outcomes)
    assert estimate.value == pytest.approx(expected, abs=1e-12)
    assert estimate.low < expected < estimate.high


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        pytest.param([[0.9, 0.1], [0.8, 0.2]], 1.0, id="apart"),
        pytest.param([[0.5, 0.5], [0.5, 0.5]], 0.5, id="equal"),
        pytest.param([[0.1, 0.9], [0.2, 0.8]], 0.0, id="reversed"),
    ],
)
def test_auroc_of_plain_cases(probabilities: list[list[float]], expected: float) -> None:
    outcomes = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert auroc(np.array(probabilities), outcomes).value == expected


def test_the_same_values_give_the_same_interval() -> None:
    assert auroc(PROBABILITIES, OUTCOMES) == auroc(PROBABILITIES, OUTCOMES)
    assert calibration_error(PROBABILITIES, OUTCOMES) == calibration_error(PROBABILITIES, OUTCOMES)
