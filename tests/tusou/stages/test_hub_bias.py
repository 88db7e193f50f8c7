"""The hub correction against its definition, in blocks of any size."""

import numpy as np
import pytest

from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest
from tusou.stages import hub_bias
from tusou.stages.hub_bias import HubCorrection, as_bias, mean_best_cosines

DIM = 24


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ITEMS, BANK = unit_vectors(90, 1), unit_vectors(40, 2)


def by_definition(items: Vectors, bank: Vectors, k: int) -> Vectors:
    return np.array([np.sort(bank.astype(np.float64) @ item)[-k:].mean() for item in items])


@pytest.mark.parametrize("k", [1, 7, 40])
def test_a_bias_is_a_share_of_the_mean_of_the_best_cosines(k: int) -> None:
    expected = by_definition(ITEMS, BANK, k)
    np.testing.assert_allclose(mean_best_cosines(ITEMS, BANK, [k])[:, 0], expected, atol=1e-6)
    bias = HubCorrection(BANK, k, 0.5).bias(ITEMS)
    np.testing.assert_allclose(bias, 0.5 * expected, rtol=2**-11, atol=1e-7)
    np.testing.assert_array_equal(bias, bias.astype(np.float16))


def test_several_k_are_computed_together() -> None:
    together = mean_best_cosines(ITEMS, BANK, [1, 7, 40])
    for column, k in enumerate([1, 7, 40]):
        np.testing.assert_array_equal(
            together[:, column], mean_best_cosines(ITEMS, BANK, [k])[:, 0]
        )


def test_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    correction = HubCorrection(BANK, 7)
    whole = correction.bias(ITEMS)
    monkeypatch.setattr(hub_bias, "_BLOCK_COSINES", 13 * len(BANK))
    np.testing.assert_array_equal(correction.bias(ITEMS), whole)
    np.testing.assert_array_equal(correction.bias(ITEMS[50:51]), whole[50:51])


def test_equal_queries_of_the_bank_count_each() -> None:
    """Ties at the end of the k best are broken, not counted twice."""
    bank = np.repeat(np.eye(DIM, dtype=np.float32)[:2], 5, axis=0)
    items = np.eye(DIM, dtype=np.float32)[:3]
    np.testing.assert_array_equal(
        mean_best_cosines(items, bank, [5, 6, 10]), [[1, 5 / 6, 0.5], [1, 5 / 6, 0.5], [0, 0, 0]]
    )


def test_no_items_have_no_bias() -> None:
    assert HubCorrection(BANK, 7).bias(ITEMS[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("k", "alpha"), [(0, 0.5), (41, 0.5), (7, -0.1), (7, 2.5), (7, float("nan"))]
)
def test_settings_out_of_range_are_refused(k: int, alpha: float) -> None:
    with pytest.raises(InvalidRequest, match="--hub-"):
        HubCorrection(BANK, k, alpha)


def test_an_empty_bank_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no query"):
        HubCorrection(BANK[:0], 1)


def test_half_precision_holds_a_bias() -> None:
    assert as_bias(np.array([0.3])).tolist() == [0.300048828125]
