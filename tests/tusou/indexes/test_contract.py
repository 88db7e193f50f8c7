"""The contract of `VectorIndex`, for every index type against brute force."""

from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from recording import DeviceLog
from torch._subclasses.fake_tensor import FakeTensorMode

from tusou.bundle.array_file import save_array
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Neighbors, Vectors
from tusou.core.errors import CorruptBundle, InvalidRequest
from tusou.indexes import VectorIndex, create_index, load_index
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.indexes.torch_index import TorchIndex

DIM, COUNT, K = 32, 500, 10

# Index type, the share of the true top 10 that it must find here, whether its scores are exact.
INDEXES = [
    pytest.param((TorchSpec(), 1.0, True), id="torch"),
    pytest.param((FaissSpec("Flat"), 1.0, True), id="faiss-flat"),
    pytest.param((FaissSpec("IVF8,Flat", "nprobe=8"), 1.0, True), id="faiss-ivf"),
    pytest.param((FaissSpec("HNSW16", "efSearch=64"), 0.95, True), id="faiss-hnsw"),
    pytest.param((FaissSpec("SQ8,RFlat", "k_factor_rf=4"), 1.0, True), id="faiss-refined"),
    pytest.param((FaissSpec("PQ16x4fs,RFlat", "k_factor_rf=16"), 0.99, True), id="fast-scan"),
    pytest.param(
        (FaissSpec("PCAR32,PQ16x4fs,RFlat", "k_factor_rf=16"), 0.99, True), id="projected"
    ),
    pytest.param((FaissSpec("PQ16x4fs,RFile", "k_factor_rf=16"), 0.99, True), id="file"),
    pytest.param(
        (FaissSpec("IVF8,PQ16x4fs,RFile", "nprobe=8,k_factor_rf=16"), 0.99, True),
        id="lists-and-file",
    ),
    pytest.param((FaissSpec("PQ16x4fs,Refine(SQfp16)", "k_factor_rf=16"), 0.99, False), id="half"),
    pytest.param(
        (FaissSpec("PQ16x4fs,Refine(SQ8)", "k_factor_rf=16"), 0.95, False), id="refined-by-codes"
    ),
    pytest.param((FaissSpec("SQ8"), 0.9, False), id="faiss-quantised"),
    pytest.param((FaissSpec("PCA24,Flat"), 0.3, False), id="faiss-projected"),
]


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


STORED, QUERIES = unit_vectors(COUNT, seed=1), unit_vectors(40, seed=2)


def filled_index(spec: IndexSpec) -> VectorIndex:
    index = create_index(spec, DIM)
    index.fill(STORED)
    return index


def stored_file(folder: Path) -> VectorFile:
    save_array(folder / "vectors.npy", STORED)
    return VectorFile(folder / "vectors.npy", STORED.shape)


@pytest.fixture(scope="module", params=INDEXES)
def case(request: pytest.FixtureRequest) -> tuple[IndexSpec, VectorIndex, float, bool]:
    spec, floor, exact = request.param
    return spec, filled_index(spec), floor, exact


Case = tuple[IndexSpec, VectorIndex, float, bool]


@pytest.fixture(scope="module")
def truth() -> Neighbors:
    scores = QUERIES @ STORED.T
    best = np.argsort(-scores, axis=1)[:, :K]
    return Neighbors(best, np.take_along_axis(scores, best, 1))


def test_it_finds_the_items_of_a_brute_force_search(case: Case, truth: Neighbors) -> None:
    _, index, floor, _ = case
    neighbors = index.search(QUERIES, K)
    shared = [np.intersect1d(a, b).size for a, b in zip(neighbors.ids, truth.ids, strict=True)]
    assert np.mean(shared) / K >= floor


def test_exact_scores_are_inner_products(case: Case) -> None:
    _, index, _, exact = case
    neighbors = index.search(QUERIES, K)
    expected = np.einsum("qd,qkd->qk", QUERIES, STORED[neighbors.ids])
    assert bool(np.abs(neighbors.scores - expected).max() < 1e-5) == exact


def test_a_smaller_k_returns_the_first_of_a_larger_one(case: Case) -> None:
    _, index, _, _ = case
    np.testing.assert_array_equal(index.search(QUERIES, 1).ids, index.search(QUERIES, K).ids[:, :1])


def test_the_best_comes_first(case: Case) -> None:
    _, index, _, _ = case
    assert (np.diff(index.search(QUERIES, K).scores, axis=1) <= 0).all()


def test_a_k_larger_than_the_index_is_padded(case: Case) -> None:
    _, index, _, _ = case
    neighbors = index.search(QUERIES[:1], COUNT + 3)
    assert neighbors.ids.shape == (1, COUNT + 3)
    assert (neighbors.ids[:, -3:] == -1).all()
    assert np.isneginf(neighbors.scores[:, -3:]).all()


def test_a_saved_index_returns_the_same_results(case: Case, tmp_path: Path) -> None:
    spec, index, _, _ = case
    before = index.search(QUERIES, K)
    index.save(tmp_path / "index")
    loaded = load_index(spec, tmp_path / "index", vectors=stored_file(tmp_path))
    after = loaded.search(QUERIES, K)
    np.testing.assert_array_equal(before.ids, after.ids)
    np.testing.assert_array_equal(before.scores, after.scores)
    assert (len(loaded), loaded.dim) == (COUNT, DIM)


def test_a_file_holds_no_vector_that_is_stored_beside_it(tmp_path: Path) -> None:
    for spec in (TorchSpec(), FaissSpec("Flat")):
        filled_index(spec).save(tmp_path / "index")
        assert (tmp_path / "index").stat().st_size < 200
    sizes = set()
    for last in ("RFlat", "Refine(Flat)", "Refine(SQfp16)", "RFile"):
        filled_index(FaissSpec(f"PQ16x4fs,{last}")).save(tmp_path / last)
        sizes.add((tmp_path / last).stat().st_size)
    filled_index(FaissSpec("PQ16x4fs")).save(tmp_path / "codes")
    assert sizes == {(tmp_path / "codes").stat().st_size}


def test_a_vector_file_that_is_truncated_fails_the_search_alone(tmp_path: Path) -> None:
    spec = FaissSpec("PQ16x4fs,RFile", "k_factor_rf=16")
    filled_index(spec).save(tmp_path / "index")
    loaded = load_index(spec, tmp_path / "index", vectors=stored_file(tmp_path))
    with (tmp_path / "vectors.npy").open("r+b") as file:
        file.truncate(200)
    with pytest.raises(CorruptBundle, match=r"vectors\.npy has been truncated"):
        loaded.search(QUERIES, K)


def test_a_projection_does_not_centre_vectors() -> None:
    """Keep the order of vectors that share a direction, as embeddings do, under a full PCA."""
    vectors = STORED + 3 * STORED[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = create_index(FaissSpec(f"PCA{DIM},Flat"), DIM)
    index.fill(vectors)
    neighbors = index.search(vectors[:40], K)
    expected = np.sort(vectors[:40] @ vectors.T, axis=1)[:, : -K - 1 : -1]
    np.testing.assert_allclose(neighbors.scores, expected, atol=1e-5)


def test_a_search_on_a_gpu_computes_on_the_gpu_alone() -> None:
    """Use fake tensors, which need no GPU and fail when their numbers are read."""
    index = TorchIndex(TorchSpec(), DIM)
    with FakeTensorMode():
        index._vectors = torch.empty((COUNT, DIM), device="cuda")
        queries = torch.empty((4, DIM), device="cuda")
        with DeviceLog() as devices:
            scores, ids = index._top_k(queries, K)
    assert (scores.shape, scores.dtype, scores.device.type) == ((4, K), torch.float32, "cuda")
    assert (ids.shape, ids.dtype, ids.device.type) == ((4, K), torch.int64, "cuda")
    assert devices.seen == {"cuda"}


UNCOMPRESSED = [
    pytest.param(FaissSpec("Flat"), id="faiss"),
    pytest.param(TorchSpec(), id="torch"),
]


@pytest.mark.parametrize("spec", UNCOMPRESSED)
def test_equal_scores_come_in_id_order(spec: IndexSpec) -> None:
    index = create_index(spec, DIM)
    index.fill(np.repeat(STORED[:1], 4, axis=0))
    assert index.search(STORED[:1], 4).ids.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("spec", UNCOMPRESSED)
def test_an_empty_index_returns_padding(spec: IndexSpec) -> None:
    neighbors = create_index(spec, DIM).search(QUERIES[:2], 3)
    assert neighbors.ids.tolist() == [[-1] * 3] * 2
    assert np.isneginf(neighbors.scores).all()


def test_an_index_larger_than_a_block_is_searched_completely(
    monkeypatch: pytest.MonkeyPatch, truth: Neighbors
) -> None:
    monkeypatch.setattr("tusou.indexes.torch_index._BLOCK", 64)
    np.testing.assert_array_equal(filled_index(TorchSpec()).search(QUERIES, K).ids, truth.ids)


def test_the_torch_index_has_no_parameters() -> None:
    index = create_index(TorchSpec(), DIM)
    index.tune("")
    with pytest.raises(InvalidRequest, match="nothing to tune, got 'nprobe=3'"):
        index.tune("nprobe=3")


@pytest.mark.gpu
def test_a_gpu_finds_the_items_that_the_processor_finds(tmp_path: Path, truth: Neighbors) -> None:
    filled_index(TorchSpec()).save(tmp_path / "index")
    index = load_index(TorchSpec(), tmp_path / "index", "cuda", stored_file(tmp_path))
    neighbors = index.search(QUERIES, K)
    np.testing.assert_array_equal(neighbors.ids, truth.ids)
    np.testing.assert_allclose(neighbors.scores, truth.scores, atol=1e-5)


@pytest.mark.parametrize(
    "spec", [FaissSpec("IVF"), FaissSpec("Flat", "nprobe=3")], ids=["factory", "tuning"]
)
def test_refuses_strings_that_faiss_does_not_understand(spec: FaissSpec) -> None:
    with pytest.raises(InvalidRequest, match="FAISS"):
        create_index(spec, DIM)


def forged(kind: str) -> tuple[FaissSpec, faiss.Index]:
    """Return a specification and an index of inner products that does not belong to it."""
    factory = {"list": "IVF4,Flat", "flat": "Flat"}.get(kind, "IDMap,Flat")
    metric = faiss.METRIC_L2 if kind == "metric" else faiss.METRIC_INNER_PRODUCT
    index = faiss.index_factory(DIM, factory, metric)
    index.train(STORED)
    if kind == "flat":
        index.add(STORED)
    else:
        index.add_with_ids(STORED, np.arange(COUNT) + (kind == "list"))
    return FaissSpec("IVF4,Flat" if kind == "list" else "Flat"), index


@pytest.mark.parametrize("kind", ["list", "flat", "ids", "metric"])
def test_refuses_an_index_of_another_kind(kind: str, tmp_path: Path) -> None:
    spec, index = forged(kind)
    faiss.write_index(index, str(tmp_path / "index"))
    with pytest.raises(CorruptBundle, match="index holds another kind of index"):
        load_index(spec, tmp_path / "index", vectors=stored_file(tmp_path))


def test_lists_may_be_empty(tmp_path: Path) -> None:
    spec, few = FaissSpec("IVF64,PQ16x4fs,RFile", "nprobe=64"), STORED[:70]
    index = create_index(spec, DIM)
    index.fill(np.repeat(few[:1], 70, axis=0))
    index.save(tmp_path / "index")
    loaded = load_index(spec, tmp_path / "index", vectors=stored_file(tmp_path))
    assert len(loaded) == 70


def test_refuses_a_file_that_is_not_an_index(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(b"not an index")
    with pytest.raises(CorruptBundle, match="index is not a FAISS index"):
        load_index(FaissSpec(), tmp_path / "index")
