"""95 of 100 intervals contain the true mean, and they agree with scipy's."""

import numpy as np
import pytest
from scipy import stats

from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.metrics import Values


def interval(values: Values) -> tuple[float, float]:
    return intervals({"": values})[""]


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(1).random(50)
    assert interval(values) == interval(values)
    both = intervals({"a": values, "b": 1 - values})
    assert both["a"] == pytest.approx(interval(values), abs=1e-12)
    assert both["b"] == pytest.approx([1 - edge for edge in reversed(both["a"])], abs=0.01)


def test_normal_values_have_the_textbook_interval() -> None:
    """For 2,000 normal values the BCa, percentile and t intervals agree."""
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
def test_nineteen_of_twenty_intervals_contain_the_true_mean(
    count: int, share: float, least: float
) -> None:
    """400 samples of hits and misses: 0.95 +- 0.022 by chance, less where the counts are coarse."""
    draws = (np.random.default_rng(3).random((count, 400)) < share).astype(float)
    bounds = intervals({str(n): draws[:, n] for n in range(400)})
    coverage = np.mean([low <= share <= high for low, high in bounds.values()])
    assert least <= coverage <= 0.98


@pytest.mark.parametrize("share", [0.03, 0.5, 0.9])
def test_intervals_agree_with_scipy(share: float) -> None:
    """2,000 resamples move an edge by less than a fifth of a standard error."""
    values = (np.random.default_rng(4).random(500) < share).astype(float)
    result = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=20_000,
        method="BCa",
        batch=200,
        rng=np.random.default_rng(5),
    ).confidence_interval
    error = values.std() / np.sqrt(len(values))
    assert interval(values) == pytest.approx((result.low, result.high), abs=0.2 * error)


def test_equal_or_no_values_have_an_empty_interval() -> None:
    assert interval(np.array([])) == (0.0, 0.0)
    assert interval(np.ones(7)) == (1.0, 1.0)
    assert interval(np.array([0.1])) == (0.1, 0.1)
    assert intervals({}) == {}
