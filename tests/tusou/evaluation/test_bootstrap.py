"""The intervals hold what they promise: 95 of 100 contain the true mean."""

import numpy as np
import pytest

from tusou.evaluation.bootstrap import interval, intervals


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(1).random(50)
    assert interval(values) == interval(values)
    both = intervals({"a": values, "b": 1 - values})
    assert both["a"] == pytest.approx(interval(values), abs=1e-12)
    assert both["b"] == pytest.approx([1 - edge for edge in reversed(both["a"])], abs=0.01)


def test_it_is_the_textbook_interval_where_that_is_right() -> None:
    """For 2,000 values of a normal law BCa, percentile and t intervals meet."""
    values = np.random.default_rng(2).normal(0.5, 0.1, 2000)
    error = values.std(ddof=1) / np.sqrt(len(values))
    mean = values.mean()
    assert interval(values) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=4e-4)


@pytest.mark.parametrize(
    ("count", "share", "least"),
    [
        pytest.param(200, 0.7, 0.92, id="hits"),
        pytest.param(60, 0.9, 0.90, id="few-and-skewed"),
    ],
)
def test_nineteen_of_twenty_hold_the_true_mean(count: int, share: float, least: float) -> None:
    """400 samples of hits and misses: 0.95 +- 0.022 by chance, less where the counts are coarse."""
    draws = (np.random.default_rng(3).random((count, 400)) < share).astype(float)
    found = intervals({str(n): draws[:, n] for n in range(400)})
    held = np.mean([low <= share <= high for low, high in found.values()])
    assert least <= held <= 0.98


def test_nothing_to_resample() -> None:
    assert interval(np.array([])) == (0.0, 0.0)
    assert interval(np.ones(7)) == (1.0, 1.0)
    assert interval(np.array([0.1])) == (0.1, 0.1)
    assert intervals({}) == {}
