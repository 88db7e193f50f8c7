"""Gains with paired intervals, against brute force, and the verdict."""

import numpy as np
import pytest
from scipy import stats
from tusou_lab.improve.gains import METRICS, judge, measure_gains
from tusou_lab.improve.ladder import Gain

RNG = np.random.default_rng(3)
COUNT = 120
BEFORE = {name: (RNG.random(COUNT) < 0.5).astype(float) for name in METRICS}
AFTER = {name: np.maximum(column, RNG.random(COUNT) < 0.2) for name, column in BEFORE.items()}
POSITIONS = np.arange(0, COUNT, 2)


def test_a_gain_is_the_mean_difference_over_the_positions() -> None:
    gains = measure_gains(BEFORE, AFTER, POSITIONS)
    for name in METRICS:
        differences = [AFTER[name][n] - BEFORE[name][n] for n in POSITIONS.tolist()]
        assert gains[name].gain == pytest.approx(100 * sum(differences) / len(differences))
        assert gains[name].gain == pytest.approx(gains[name].after - gains[name].before)


def test_intervals_are_those_of_a_paired_bootstrap() -> None:
    """Pairing matters: resampling both sides on their own gives an interval twice as wide."""
    gain = measure_gains(BEFORE, AFTER, POSITIONS)["mean_recall"]
    differences = (AFTER["mean_recall"] - BEFORE["mean_recall"])[POSITIONS]
    expected = stats.bootstrap(
        (differences,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    assert gain.low == pytest.approx(100 * expected.low, abs=1.7)  # one query of 60
    assert gain.high == pytest.approx(100 * expected.high, abs=1.7)


def test_other_positions_do_not_count() -> None:
    changed = {name: column.copy() for name, column in AFTER.items()}
    for column in changed.values():
        column[1::2] = 0
    assert measure_gains(BEFORE, changed, POSITIONS) == measure_gains(BEFORE, AFTER, POSITIONS)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 2.0, "taken"),
        (0.0, 2.0, "holds_zero"),
        (-1.0, 2.0, "holds_zero"),
        (-2.0, 0.0, "holds_zero"),
        (-2.0, -0.1, "worse"),
    ],
)
def test_an_interval_above_zero_is_taken(low: float, high: float, verdict: str) -> None:
    assert judge(Gain(50, 50 + low + high, low + high, low, high, 0.01)) == verdict
