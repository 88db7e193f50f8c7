"""Choice and tuning of an index: recall, bytes read, memory budgets and refusals."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from tusou_indexer.index import candidates, tune
from tusou_indexer.index import request as request_module
from tusou_indexer.index.candidates import bytes_read, candidate_factories, memory_bytes
from tusou_indexer.index.recall_probes import PROBE_TEXTS, RecallProbes
from tusou_indexer.index.request import EXACT_RECALL, TARGET_RECALL, IndexRequest
from tusou_indexer.index.tune import build_index

from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.specs import FaissSpec

DIM = 64


def unit(vectors: Vectors) -> Vectors:
    rows: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return rows


def structured(count: int, seed: int) -> Vectors:
    """Return vectors of few degrees of freedom, as those of a model are."""
    random, axes = np.random.default_rng(seed), np.random.default_rng(0).normal(size=(6, DIM))
    return unit(random.normal(size=(count, 6)) @ axes + 0.02 * random.normal(size=(count, DIM)))


def directions(count: int, seed: int) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(count, DIM)))


def has_exact_scores(index: VectorIndex, vectors: Vectors) -> bool:
    """Return whether the index's scores are inner products, as those of compared codes are not."""
    neighbors = index.search(texts(), 10)
    expected = np.einsum("qd,qkd->qk", texts(), vectors[neighbors.ids])
    return bool(np.abs(neighbors.scores - expected).max() < 1e-5)


def texts() -> Vectors:
    return structured(50, 9)


@pytest.fixture(autouse=True)
def tiny_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_CACHED_BYTES", 100_000)


def test_a_small_pool_gets_a_flat_index() -> None:
    built = build_index(structured(390, 1), IndexRequest(), lambda: pytest.fail("texts encoded"))
    assert (built.spec.factory, built.index_recall, built.trials) == ("Flat", None, ())


def test_a_structured_pool_is_searched_by_codes_and_refined() -> None:
    vectors = structured(3000, 1)
    built = build_index(vectors, IndexRequest(), texts)
    assert built.spec.factory in candidate_factories(*vectors.shape, IndexRequest())
    assert built.spec.factory.startswith("PCAR16,")  # six directions: a projection keeps them all
    assert built.index_recall is not None
    assert built.index_recall >= EXACT_RECALL
    assert has_exact_scores(built.index, vectors)
    chosen = [
        trial for trial in built.trials if (trial.factory, trial.tuning) == astuple(built.spec)
    ]
    assert [trial.index_recall_at_10 for trial in chosen] == [built.index_recall]
    queries = structured(200, 2)
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    neighbors = built.index.search(queries, 10)
    shared = [np.intersect1d(a, b).size for a, b in zip(neighbors.ids, truth, strict=True)]
    assert np.mean(shared) / 10 >= 0.995
    np.testing.assert_allclose(
        neighbors.scores, np.einsum("qd,qkd->qk", queries, vectors[neighbors.ids]), atol=1e-5
    )


def test_a_pool_that_codes_cannot_distinguish_gets_a_flat_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tune, "_WORTH", 10)
    built = build_index(directions(3000, 1), IndexRequest(), texts)
    assert (built.spec.factory, built.index_recall) == ("Flat", None)
    assert built.trials
    assert max(trial.index_recall_at_10 for trial in built.trials) < EXACT_RECALL


def test_the_lower_recall_of_the_two_probe_sets_counts() -> None:
    built = build_index(
        structured(3000, 1), IndexRequest(target_recall=1), lambda: directions(50, 3)
    )
    alone = build_index(structured(3000, 1), IndexRequest(target_recall=1), texts)
    assert built.trials[0].index_recall_at_10 < alone.trials[0].index_recall_at_10


def test_a_lower_target_reads_less(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (request_module, candidates):
        monkeypatch.setattr(module, "EXACT_ITEMS", 1000)
    vectors = structured(5000, 1)
    low, high = (
        build_index(vectors, IndexRequest(target_recall=target), texts) for target in (0.7, 0.99)
    )
    assert 0.7 <= (low.index_recall or 0) <= (high.index_recall or 0)
    cost = [bytes_read(each.spec.factory, each.spec.tuning, 5000, DIM) for each in (low, high)]
    assert cost[0] < cost[1] < 5000 * DIM * 4


def test_an_inverted_file_gets_the_smallest_nprobe_that_reaches_the_target() -> None:
    vectors = directions(6000, 4)
    built = build_index(vectors, IndexRequest("IVF256,Flat"), texts)
    nprobe = int(built.spec.tuning.removeprefix("nprobe="))
    assert (built.index_recall or 0) >= TARGET_RECALL
    built.index.tune(f"nprobe={nprobe // 2}")
    assert RecallProbes(vectors, texts()).recall(built.index) < TARGET_RECALL


def test_an_index_without_parameters_is_measured_as_it_is() -> None:
    built = build_index(directions(2000, 1), IndexRequest("SQ8"), texts)
    assert built.spec.tuning == ""
    assert 0.8 < (built.index_recall or 0) < 1


def test_any_of_several_equal_items_counts_as_found() -> None:
    vectors = np.repeat(directions(200, 1), 11, axis=0)
    index = create_index(FaissSpec("Flat"), DIM)
    index.fill(vectors)
    assert RecallProbes(vectors, vectors[:50]).recall(index) == 1


@pytest.mark.parametrize("factory", ["auto", "IVF32,Flat", "PQ16x4fs,RFlat"])
def test_the_same_vectors_build_the_same_bytes(tmp_path: Path, factory: str) -> None:
    for name in "ab":
        built = build_index(structured(3000, 1), IndexRequest(factory), texts)
        built.index.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_gpu_gets_an_index_that_it_can_hold() -> None:
    assert build_index(structured(3000, 1), IndexRequest(on_gpu=True), texts).spec.factory == "Flat"


def test_the_torch_index_is_requested_by_name() -> None:
    built = build_index(
        structured(3000, 1), IndexRequest("torch"), lambda: pytest.fail("texts encoded")
    )
    IndexRequest("torch").check(DIM)
    assert (built.spec.index_type, built.index_recall, len(built.index)) == ("torch", None, 3000)


def test_a_given_factory_is_built_and_measured_even_below_the_target() -> None:
    built = build_index(directions(3000, 1), IndexRequest("PQ8x4fs,RFlat"), texts)
    assert (built.spec.factory, built.spec.tuning) == ("PQ8x4fs,RFlat", "k_factor_rf=64")
    assert 0 < (built.index_recall or 0) < TARGET_RECALL


def test_the_best_index_within_a_memory_budget_is_chosen() -> None:
    vectors = structured(6000, 1)
    built = build_index(vectors, IndexRequest("auto:0.7MB"), texts)
    assert memory_bytes(built.spec.factory, *vectors.shape) <= 0.7e6 < vectors.nbytes
    assert built.spec.factory.endswith(",RFile")
    assert has_exact_scores(built.index, vectors)
    half = build_index(vectors, IndexRequest("auto:1MB"), texts)
    assert half.spec.factory.endswith(",Refine(SQfp16)")
    assert not has_exact_scores(half.index, vectors)
    tried = {trial.factory for trial in built.trials}
    assert all(memory_bytes(factory, *vectors.shape) <= 0.7e6 for factory in tried)
    assert (built.index_recall or 0) >= EXACT_RECALL


def test_a_budget_leaves_out_the_indexes_that_take_more() -> None:
    plain = candidate_factories(1_000_000, 512, IndexRequest())
    assert candidate_factories(1_000_000, 512, IndexRequest("auto:3GB")) == plain
    assert not set(candidate_factories(1_000_000, 512, IndexRequest("auto:1GB"))) & set(plain)
    assert candidate_factories(100_000, 512, IndexRequest("auto:207MB")) == ["Flat"]


def test_the_estimated_memory_is_that_of_the_file_and_of_the_vectors_read(tmp_path: Path) -> None:
    vectors = structured(6000, 1)
    for factory, vector_bytes in (
        ("PCAR16,PQ16x4fs,RFlat", 4),
        ("PQ32x4fs,Refine(SQ8)", 0),
        ("PQ32x4fs,Refine(SQfp16)", 2),
        ("PQ32x4fs,RFile", 0),
        ("SQ8", 0),
        ("IVF8,PQ16x4fs,RFile", 0),
        ("Flat", 4),
    ):
        build_index(vectors, IndexRequest(factory), texts).index.save(tmp_path / "index")
        memory = (tmp_path / "index").stat().st_size + vector_bytes * vectors.size
        assert memory == pytest.approx(memory_bytes(factory, *vectors.shape), rel=0.08)


def test_ten_million_vectors_take_less_than_four_gigabytes() -> None:
    factories = candidate_factories(10_000_000, 512, IndexRequest("auto:4GB"))
    assert factories == [
        "PCAR128,IVF16384,PQ64x4fs,RFile",
        "PCAR128,IVF16384,PQ128x4fs,RFile",
    ]
    assert memory_bytes(factories[1], 10_000_000, 512) < 1e9


def test_refuses_a_budget_that_no_index_fits() -> None:
    with pytest.raises(InvalidRequest, match=r"auto:0\.05MB: an index of .* takes 0\.1MB or more"):
        build_index(structured(20_000, 1), IndexRequest("auto:0.05MB"), texts)


@pytest.mark.parametrize("factory", ["auto:", "auto:2", "auto:0GB", "auto:GB", "auto:1.5 GB"])
def test_refuses_a_budget_that_is_not_a_size(factory: str) -> None:
    with pytest.raises(InvalidRequest, match=r"write a budget as auto:1\.5GB"):
        IndexRequest(factory).check(DIM)


def test_the_fewest_lists_and_candidates_that_reach_the_target_are_taken() -> None:
    vectors = structured(6000, 4)
    built = build_index(vectors, IndexRequest("IVF64,PQ16x4fs,RFlat", 0.95), texts)
    nprobe, factor = (int(setting.partition("=")[2]) for setting in built.spec.tuning.split(","))
    assert (built.index_recall or 0) >= 0.95
    recall_probes = RecallProbes(vectors, texts())
    for fewer in (
        f"nprobe={nprobe // 2},k_factor_rf=64",
        f"nprobe={nprobe},k_factor_rf={factor // 2}",
    ):
        built.index.tune(fewer)
        assert recall_probes.recall(built.index) < 0.95


@pytest.mark.parametrize("target", [0, -1, 1.01, float("nan")])
def test_refuses_a_target_that_is_not_a_share(target: float) -> None:
    with pytest.raises(InvalidRequest, match="--target-recall"):
        build_index(structured(10, 1), IndexRequest(target_recall=target), texts)


def test_the_probe_texts_are_all_different() -> None:
    assert len(set(PROBE_TEXTS)) == len(PROBE_TEXTS) == 220
