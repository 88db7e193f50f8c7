"""Index recall: exact search in blocks, ties, small pools and missing rows."""

import numpy as np
import pytest

from tusou.core.arrays import Vectors
from tusou.evaluation import index_recall as module
from tusou.evaluation.index_recall import exact_neighbors, index_recall

DIM = 64


def directions(count: int, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_exact_search_in_blocks_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ITEMS", 128)
    vectors, queries = directions(1000, 1), directions(20, 2)
    exact = exact_neighbors(vectors, queries, 10)
    expected = np.sort(queries @ vectors.T, axis=1)[:, :-11:-1]
    np.testing.assert_allclose(exact.scores, expected, atol=1e-6)
    scores = np.take_along_axis(queries @ vectors.T, exact.ids, axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_recall_is_the_share_of_the_true_nearest_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUERIES", 8)
    vectors, queries = directions(1000, 1), directions(20, 2)
    exact = exact_neighbors(vectors, queries, 10)
    results = exact.ids.copy()
    assert index_recall(vectors, queries, results, exact, 10) == 1
    results[:, 7:] = np.argsort(queries @ vectors.T, axis=1)[:, :3]  # the three farthest
    assert index_recall(vectors, queries, results, exact, 10) == pytest.approx(0.7)
    assert index_recall(vectors, queries, results, exact, 5) == 1
    results[:5] = -1
    assert index_recall(vectors, queries, results, exact, 5) == pytest.approx(0.75)


def test_any_of_several_equal_rows_counts() -> None:
    vectors = np.repeat(directions(200, 1), 11, axis=0)
    queries = vectors[:550:11]
    exact = exact_neighbors(vectors, queries, 10)
    others = np.arange(50)[:, None] * 11 + np.arange(10, 0, -1)
    assert (np.sort(others, axis=1) != np.sort(exact.ids, axis=1)).any()
    assert index_recall(vectors, queries, others, exact, 10) == 1


def test_a_pool_smaller_than_k_can_be_found_whole() -> None:
    vectors, queries = directions(4, 1), directions(3, 2)
    exact = exact_neighbors(vectors, queries, 10)
    assert (exact.ids[:, 4:] == -1).all()
    assert index_recall(vectors, queries, exact.ids, exact, 10) == 1
