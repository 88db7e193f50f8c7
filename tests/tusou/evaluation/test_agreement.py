"""Agreement of judges, against published tables and by hand."""

import numpy as np
import pytest

from tusou.evaluation.agreement import (
    changed_orders,
    cohen_kappa,
    confusion_table,
    gwet_ac1,
    kendall_tau,
    measure_agreement,
)


def test_kappa_of_a_published_table() -> None:
    # 50 cases, 35 of them equal; by chance half would be.
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


def test_ac1_stays_sensible_where_nearly_everything_is_one_grade() -> None:
    # K. Gwet, Computing inter-rater reliability and its variance ..., 2008: 118, 5, 2 and 0.
    table = np.array([[118, 5], [2, 0]])
    assert cohen_kappa(table) == pytest.approx(-0.0234, abs=1e-4)
    assert gwet_ac1(table) == pytest.approx(0.9408, abs=1e-4)


def test_quadratic_weights_forgive_neighbouring_grades() -> None:
    near = confusion_table([0, 1, 2, 3] * 5, [1, 1, 2, 2] * 5)
    far = confusion_table([0, 1, 2, 3] * 5, [3, 1, 2, 0] * 5)
    assert cohen_kappa(near) == pytest.approx(cohen_kappa(far), abs=0.2)
    # Squared differences: 2 of 4 pairs by 1 each; by chance 1.5 a pair.
    assert cohen_kappa(near, quadratic=True) == pytest.approx(1 - 0.5 / 1.5)
    assert cohen_kappa(far, quadratic=True) < 0


def test_two_judges_who_agree_entirely() -> None:
    agreement = measure_agreement([3, 0, 2, 1], [3, 0, 2, 1])
    assert (agreement.pairs, agreement.equal, agreement.kappa) == (4, 1, 1)
    assert (agreement.weighted_kappa, agreement.ac1, agreement.binary_kappa) == (1, 1, 1)
    assert agreement.confusion == ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    assert measure_agreement([0, 0], [0, 0]).kappa == 1


def test_two_judges_who_know_nothing_agree_by_chance() -> None:
    draw = np.random.default_rng(1)
    first, second = draw.integers(0, 4, (2, 20_000)).tolist()
    agreement = measure_agreement(first, second)
    assert agreement.equal == pytest.approx(0.25, abs=0.01)
    low, high = agreement.equal_interval
    assert low < 0.25 < high
    for value in (agreement.kappa, agreement.weighted_kappa, agreement.ac1, agreement.binary_kappa):
        assert value == pytest.approx(0, abs=0.02)


def test_tau_counts_the_pairs_of_systems_in_the_same_order() -> None:
    assert kendall_tau([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    # A tie in one list: 5 untied pairs of 6.
    assert kendall_tau([1, 2, 3, 3], [1, 2, 3, 4]) == pytest.approx(5 / np.sqrt(5 * 6))
    assert kendall_tau([1, 1, 1], [1, 2, 3]) == 0


def test_orders_that_change_are_counted_by_pairs_and_ties_change_nothing() -> None:
    assert changed_orders([1, 2, 3], [1, 2, 3]) == 0
    assert changed_orders([1, 2, 3], [3, 2, 1]) == 1
    assert changed_orders([1, 2, 3], [2, 1, 3]) == pytest.approx(1 / 3)
    assert changed_orders([1, 2, 3], [2, 2, 3]) == 0
    assert changed_orders([1], [2]) == 0
