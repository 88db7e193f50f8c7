"""The permutation test is exact for few differences and keeps its rate of false alarms."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from tusou.evaluation.metrics import Values
from tusou.evaluation.significance import ALPHA, holm, permutation_test


def p_of(differences: Values) -> float:
    return permutation_test({"": differences})[""]


def by_hand(differences: Values) -> float:
    observed = abs(differences.sum())
    sums = [abs(np.dot(signs, differences)) for signs in product([1, -1], repeat=len(differences))]
    return sum(value >= observed - 1e-9 for value in sums) / len(sums)


@pytest.mark.parametrize("seed", range(5))
def test_few_differences_are_enumerated(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 0.5, 9).round(1)
    assert p_of(differences) == by_hand(differences)
    scattered = np.zeros(500)
    scattered[::60] = differences  # queries without a difference do not matter
    assert p_of(scattered) == by_hand(differences)


def test_all_queries_improve() -> None:
    assert p_of(np.ones(5)) == 2 / 2**5
    assert p_of(-np.ones(5)) == 2 / 2**5
    assert p_of(np.ones(200)) == 1 / 10_001


def test_no_difference() -> None:
    assert p_of(np.zeros(100)) == 1
    assert p_of(np.array([1.0, -1.0])) == 1
    assert permutation_test({}) == {}


def test_p_values_agree_with_scipy() -> None:
    """10,000 flips each: two estimates of a p differ by less than four standard errors."""
    random = np.random.default_rng(4)
    columns = {str(n): random.normal(0.1 * n, 1.0, 60) for n in range(4)}
    ours = permutation_test(columns)
    for name, column in columns.items():
        theirs = stats.permutation_test(
            (column,),
            np.mean,
            permutation_type="samples",
            n_resamples=10_000,
            rng=np.random.default_rng(5),
            vectorized=True,
        ).pvalue
        error = 4 * np.sqrt(2 * theirs * (1 - theirs) / 10_000) + 1e-3
        assert ours[name] == pytest.approx(theirs, abs=error)


def test_equal_systems_give_five_percent_of_false_alarms() -> None:
    """1,000 pairs of equal systems: 5 % of false alarms, +- 2 % by chance."""
    random = np.random.default_rng(6)
    a, b = (random.random((2, 150, 1000)) < 0.6).astype(float)
    p = permutation_test({str(n): (b - a)[:, n] for n in range(1000)})
    alarms = np.mean([value < ALPHA for value in p.values()])
    assert 0.02 <= alarms <= 0.07


def test_a_real_difference_is_significant() -> None:
    random = np.random.default_rng(7)
    a = (random.random((1000, 100)) < 0.6).astype(float)
    b = np.where(random.random(a.shape) < 0.1, 1.0, a)
    p = permutation_test({str(n): (b - a)[:, n] for n in range(100)})
    assert all(value < 0.001 for value in p.values())


def test_holm_by_hand() -> None:
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert holm(p) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(holm(p)) == ["a", "b", "c", "d"]
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
