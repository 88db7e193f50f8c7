"""`auto` picks an index by the pool's size, and parameters by recall measured on that pool."""

import numpy as np
import pytest

from indexer import tune
from indexer.tune import TARGET_RECALL, build_index
from tusou.types import Vectors


def unit_vectors(count: int, dim: int = 16) -> Vectors:
    drawn = np.random.default_rng(4).normal(size=(count, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_a_small_pool_is_searched_exactly() -> None:
    built = build_index(unit_vectors(300), "auto")
    assert (built.spec.factory, built.spec.tuning, built.index_recall) == ("Flat", "", None)


def test_a_large_pool_gets_the_smallest_nprobe_that_reaches_the_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tune, "EXACT_ITEMS", 2000)
    vectors = unit_vectors(6000)
    built = build_index(vectors, "auto")
    assert built.spec.factory == "IVF256,Flat"
    assert built.index_recall is not None
    assert built.index_recall >= TARGET_RECALL
    nprobe = int(built.spec.tuning.removeprefix("nprobe="))
    probes = tune._probes(vectors)
    truth = tune._exact(vectors, probes)
    built.index.tune(f"nprobe={nprobe // 2}")
    assert tune._recall(built.index.search(probes, 10), truth) < TARGET_RECALL


def test_exact_search_in_blocks_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "_BLOCK", 128)
    vectors = unit_vectors(1000)
    probes = tune._probes(vectors)
    found = np.take_along_axis(probes @ vectors.T, tune._exact(vectors, probes), axis=1)
    expected = -np.sort(-(probes @ vectors.T), axis=1)[:, :10]
    np.testing.assert_allclose(-np.sort(-found, axis=1), expected, atol=1e-6)


def test_any_other_approximate_index_is_measured_as_it_is() -> None:
    built = build_index(unit_vectors(2000), "SQ8")
    assert built.spec.tuning == ""
    assert built.index_recall is not None
    assert 0.8 < built.index_recall < 1


def test_the_same_vectors_build_the_same_index() -> None:
    first, second = (build_index(unit_vectors(3000), "IVF32,Flat") for _ in range(2))
    assert first.spec == second.spec
    probes = unit_vectors(20)
    a, b = first.index.search(probes, 5), second.index.search(probes, 5)
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.scores, b.scores)
