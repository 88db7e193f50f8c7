"""Inverted softmax over a bank of queries, against its definition."""

import numpy as np
import pytest

from tusou.core.arrays import Vectors
from tusou.stages import inverted_softmax
from tusou.stages.inverted_softmax import nearest_items, soft_mean_cosines

DIM = 16


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ITEMS, BANK, QUERIES = unit_vectors(60, 1), unit_vectors(30, 2), unit_vectors(9, 3)


def test_cosine_minus_soft_mean_orders_as_the_inverted_softmax() -> None:
    beta = 20.0
    shares = np.exp(beta * QUERIES @ ITEMS.T) / np.exp(beta * BANK @ ITEMS.T).sum(axis=0)
    adjusted = QUERIES @ ITEMS.T - soft_mean_cosines(ITEMS, BANK, beta)
    np.testing.assert_array_equal(np.argsort(-adjusted, axis=1), np.argsort(-shares, axis=1))


def test_the_soft_mean_goes_from_the_mean_to_the_maximum() -> None:
    cosines = ITEMS @ BANK.T
    np.testing.assert_allclose(soft_mean_cosines(ITEMS, BANK, 1e-3), cosines.mean(1), atol=1e-4)
    # log(30) / beta lies between the maximum and what is left of the mean
    np.testing.assert_allclose(soft_mean_cosines(ITEMS, BANK, 1e5), cosines.max(1), atol=1e-4)


def test_the_nearest_items_of_the_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.isin(np.arange(len(ITEMS)), (BANK @ ITEMS.T).argmax(axis=1))
    assert expected.sum() == 25
    np.testing.assert_array_equal(nearest_items(ITEMS, BANK), expected)
    monkeypatch.setattr(inverted_softmax, "_BLOCK_COSINES", 7 * len(BANK))
    np.testing.assert_array_equal(nearest_items(ITEMS, BANK), expected)


def test_of_equal_items_the_first_is_the_nearest() -> None:
    items = np.repeat(ITEMS[:1], 3, axis=0)
    assert nearest_items(items, BANK).tolist() == [True, False, False]
