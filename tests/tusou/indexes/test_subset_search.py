"""Search among some row keys, for every index type against brute force."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tusou.bundle.array_file import save_array
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.errors import CorruptBundle
from tusou.indexes import VectorIndex, create_index, load_index, subset_search
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.indexes.torch_index import TorchIndex

DIM, COUNT, K = 32, 700, 10

INDEXES = [
    pytest.param(TorchSpec(), id="torch"),
    pytest.param(FaissSpec("Flat"), id="flat"),
    pytest.param(FaissSpec("IVF8,Flat", "nprobe=1"), id="ivf"),
    pytest.param(FaissSpec("HNSW16"), id="hnsw"),
    pytest.param(FaissSpec("SQ8"), id="codes"),
    pytest.param(FaissSpec("PCAR16,PQ8x4fs,RFlat", "k_factor_rf=4"), id="refined"),
    pytest.param(FaissSpec("PQ16x4fs,Refine(SQfp16)"), id="half"),
    pytest.param(FaissSpec("PQ16x4fs,RFile"), id="file"),
]


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


STORED, QUERIES = unit_vectors(COUNT, seed=1), unit_vectors(40, seed=2)
STORED[100:160] = STORED[7]  # one image under many ids


def random_keys(count: int) -> Ids:
    keys = np.random.default_rng(count).choice(COUNT, count, replace=False)
    return np.sort(keys).astype(np.int64)


SUBSETS = [
    pytest.param(random_keys(1), id="one"),
    pytest.param(random_keys(K), id="k"),
    pytest.param(random_keys(333), id="half"),
    pytest.param(np.arange(90, 190, dtype=np.int64), id="a-run-with-duplicates"),
    pytest.param(np.arange(COUNT, dtype=np.int64), id="all"),
]


def brute_force(queries: Vectors, k: int, keys: Ids) -> Neighbors:
    """Sort all keys by score and key, in double precision."""
    scores = queries.astype(np.float64) @ STORED[keys].astype(np.float64).T
    order = np.lexsort((np.broadcast_to(keys, scores.shape), -scores), axis=1)[:, :k]
    return Neighbors(keys[order], np.take_along_axis(scores, order, 1).astype(np.float32))


@pytest.fixture(scope="module", params=INDEXES)
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VectorIndex:
    spec: IndexSpec = request.param
    folder = tmp_path_factory.mktemp("index")
    built = create_index(spec, DIM)
    built.fill(STORED)
    built.save(folder / "index.bin")
    return load_index(spec, folder / "index.bin", "cpu", stored_file(folder))


def stored_file(folder: Path) -> VectorFile:
    save_array(folder / "vectors.npy", STORED)
    return VectorFile(folder / "vectors.npy", STORED.shape)


@pytest.mark.parametrize("keys", SUBSETS)
@pytest.mark.parametrize("count", [1, 40])
def test_it_returns_the_best_of_the_keys_in_order(
    index: VectorIndex, keys: Ids, count: int
) -> None:
    neighbors = index.search_among(QUERIES[:count], K, keys)
    expected = brute_force(QUERIES[:count], K, keys)
    found = len(expected.ids[0])
    np.testing.assert_array_equal(neighbors.ids[:, :found], expected.ids)
    np.testing.assert_allclose(neighbors.scores[:, :found], expected.scores, atol=1e-6)
    assert neighbors.ids.shape == neighbors.scores.shape == (count, K)
    assert (neighbors.ids[:, found:] == -1).all()
    assert np.isneginf(neighbors.scores[:, found:]).all()


def test_items_that_tie_come_by_key(index: VectorIndex) -> None:
    keys = np.array([3, 101, 104, 120, 121, 150, 690], np.int64)
    for queries in (STORED[7:8], np.repeat(STORED[7:8], 20, axis=0)):
        neighbors = index.search_among(queries, 3, keys)
        assert neighbors.ids.tolist() == [[101, 104, 120]] * len(queries)
        assert len(set(neighbors.scores.ravel().tolist())) == 1


def test_no_keys_are_padding(index: VectorIndex) -> None:
    neighbors = index.search_among(QUERIES[:2], 3, np.empty(0, np.int64))
    assert neighbors.ids.tolist() == [[-1] * 3] * 2
    assert np.isneginf(neighbors.scores).all()


def test_a_score_does_not_depend_on_the_number_of_queries(index: VectorIndex) -> None:
    keys = random_keys(333)
    together = index.search_among(QUERIES, K, keys)
    alone = [index.search_among(QUERIES[n : n + 1], K, keys) for n in range(len(QUERIES))]
    np.testing.assert_array_equal(together.ids, np.vstack([one.ids for one in alone]))
    np.testing.assert_array_equal(together.scores, np.vstack([one.scores for one in alone]))


@pytest.mark.parametrize("count", [1, 40])
def test_keys_of_several_blocks_are_searched_completely(
    index: VectorIndex, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = random_keys(333)
    whole = index.search_among(QUERIES[:count], K, keys)
    monkeypatch.setattr(subset_search, "_BLOCK", 16)
    monkeypatch.setattr(subset_search, "_IN_PLACE_BLOCK", 16)
    blocks = index.search_among(QUERIES[:count], K, keys)
    np.testing.assert_array_equal(blocks.ids, whole.ids)
    np.testing.assert_array_equal(blocks.scores, whole.scores)


def test_the_search_for_a_gpu_returns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusou.indexes.torch_index._SUBSET_BLOCK", 64)
    index, keys = TorchIndex(TorchSpec(), DIM), random_keys(333)
    index.fill(STORED)
    scores, ids = index._top_k_among(torch.tensor(QUERIES), K, torch.tensor(keys))
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :K]
    np.testing.assert_array_equal(ids.gather(1, order), brute_force(QUERIES, K, keys).ids)


@pytest.mark.parametrize("shorten", [lambda size: size - 4, lambda _: 0])
def test_a_file_that_is_truncated_while_it_is_open_is_reported(
    tmp_path: Path, shorten: Callable[[int], int]
) -> None:
    vectors = stored_file(tmp_path)
    path = tmp_path / "vectors.npy"
    with path.open("r+b") as file:
        file.truncate(shorten(path.stat().st_size))
    with pytest.raises(CorruptBundle, match=r"vectors\.npy has been truncated"):
        subset_search.search_subset(vectors, QUERIES, K, np.array([COUNT - 1], np.int64))
