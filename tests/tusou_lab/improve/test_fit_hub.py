"""Fitting of the hub correction, on a pool with a planted hub."""

import numpy as np
import pytest
from tusou_lab.improve.fit_hub import fit_hub, mean_recalls

from tusou.core.arrays import Vectors

DIM, ITEMS = 32, 60


def unit(vectors: Vectors) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def pool_with_hubs(seed: int) -> tuple[Vectors, Vectors, list[list[int]]]:
    """Return items, queries near to one item each, and the correct items.

    All queries share a direction, as texts do; the first three items lie in it and in no other.
    """
    rng = np.random.default_rng(seed)
    shared = unit(rng.normal(size=(1, DIM)))
    items = unit(rng.normal(size=(ITEMS, DIM)))
    items[:3] = unit(shared + 0.1 * rng.normal(size=(3, DIM)) / DIM**0.5)
    correct = rng.integers(3, ITEMS, size=120)
    noise = rng.normal(size=(120, DIM)) / DIM**0.5
    return items, unit(items[correct] + 2 * shared + noise), [[key] for key in correct.tolist()]


ITEM_VECTORS, QUERIES, CORRECT = pool_with_hubs(1)
BANK, ASKED, ANSWERS = QUERIES[:60], QUERIES[60:], CORRECT[60:]


def test_a_correction_is_fitted_where_hubs_hurt() -> None:
    fitted = fit_hub(ITEM_VECTORS, BANK, ASKED, ANSWERS)
    assert fitted.alpha > 0
    assert fitted.before.mean() < 0.5  # the hubs are before the correct item
    assert fitted.after.mean() > 0.9
    assert fitted.gain == pytest.approx(100 * (fitted.after - fitted.before).mean())


def test_without_hubs_no_correction_is_taken() -> None:
    rng = np.random.default_rng(3)
    items = np.eye(DIM, dtype=np.float32)
    fitted = fit_hub(items, unit(rng.normal(size=(50, DIM))), items, [[n] for n in range(DIM)])
    assert (fitted.alpha, fitted.gain) == (0, 0)


def test_the_values_are_those_of_the_ranking() -> None:
    rng = np.random.default_rng(4)
    bias = rng.uniform(0, 0.3, ITEMS).astype(np.float32)
    values = mean_recalls(ITEM_VECTORS, ASKED, ANSWERS, bias)
    for query, correct, value in zip(ASKED, ANSWERS, values, strict=True):
        ranking = np.argsort(-(ITEM_VECTORS @ query - bias), kind="stable").tolist()
        rank = 1 + ranking.index(correct[0])
        assert value == np.mean([rank <= 1, rank <= 5, rank <= 10])


def test_equal_items_rank_by_key() -> None:
    items = np.repeat(np.eye(DIM, dtype=np.float32)[:1], 6, axis=0)
    values = mean_recalls(items, items[:3], [[0], [5], []], np.zeros(6, np.float32))
    assert values.tolist() == [1, pytest.approx(1 / 3), 0]
