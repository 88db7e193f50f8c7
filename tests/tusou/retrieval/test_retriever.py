"""find_neighbors: neighbors against brute force, number of neighbors, and ties."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tusou_indexer.build import BuildSpec, build

from tusou.cli.progress import NoProgress
from tusou.core.arrays import Neighbors, Vectors
from tusou.core.hits import Hits
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart
from tusou.retrieval.retriever import find_neighbors

DIM, ITEMS = 64, 300
SPECS = [
    pytest.param(FaissSpec("Flat"), id="faiss"),
    pytest.param(TorchSpec(), id="torch"),
]
TEXTS = ["红色碎花吊带裙", "北欧轻奢边几", "裙", "", "复古 ABC 2023 连衣裙", "男士黑色皮鞋，" * 12]


def texts(count: int) -> list[str]:
    return [TEXTS[number % len(TEXTS)] + str(number) * (number % 5) for number in range(count)]


def axes(spec: IndexSpec, keys: Sequence[int]) -> VectorIndex:
    """Return an index of axes, in turn: a score is one number of the query, to the last bit.

    Every 64th item has the very same score.
    """
    index = create_index(spec, DIM)
    index.add(np.array(keys, np.int64), np.eye(DIM, dtype=np.float32)[np.arange(len(keys)) % DIM])
    return index


def expected(keys: Sequence[int], queries: Vectors) -> list[list[int]]:
    """Return all keys of an index of axes, best first, equal scores by key."""
    scores = queries[:, np.arange(len(keys)) % DIM]
    order = np.lexsort((np.tile(keys, (len(queries), 1)), -scores), axis=1)
    return np.array(keys)[order].tolist()


def queries(count: int) -> Vectors:
    return np.random.default_rng(3).normal(size=(count, DIM)).astype(np.float32)


class Counting:
    """An index that records the width of every search."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index
        self.widths: list[int] = []

    def __len__(self) -> int:
        return len(self._index)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        self.widths.append(k)
        return self._index.search(queries, k)


APART = range(3, ITEMS, 5)  # 60 items with 60 different scores
TIED = range(ITEMS)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("top_k", [1, 30, 58, 59, 60, 1000])
def test_items_without_ties_are_searched_once(spec: IndexSpec, top_k: int) -> None:
    index = Counting(axes(spec, APART))
    vectors, counts = queries(7), [1, top_k, *[2] * 5]
    neighbors = find_neighbors(index, list(vectors), counts)  # type: ignore[arg-type]
    assert index.widths == [min(max(counts) + 1, 60)]
    best = [keys[: index.widths[0]] for keys in expected(APART, vectors)]
    assert neighbors.ids.tolist() == best


@pytest.mark.parametrize("spec", SPECS)
def test_items_that_tie_at_the_end_are_searched_again(spec: IndexSpec) -> None:
    index = Counting(axes(spec, TIED))
    vectors, counts = queries(30), [1 + row % 12 for row in range(30)]
    neighbors = find_neighbors(index, list(vectors), counts)  # type: ignore[arg-type]
    assert index.widths[0] == 13
    assert len(index.widths) > 1
    best = expected(TIED, vectors)
    for row, count in enumerate(counts):
        assert neighbors.ids[row, :count].tolist() == best[row][:count]


@pytest.fixture(scope="module")
def bundle(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundle") / "b"
    build(BuildSpec(str(pool), str(tiny_model), index="torch", workers=1), root, NoProgress())
    return root


def page(pipeline: SearchPipeline, query: Query) -> Hits:
    (hits,) = pipeline.search([query]).hits
    assert isinstance(hits, Hits)
    return hits


@pytest.fixture
def opened(bundle: Path) -> SearchPipeline:
    return SearchPipeline.open(bundle, device="cpu")


@pytest.mark.parametrize("spec", SPECS)
def test_pages_of_equal_items_join(opened: SearchPipeline, spec: IndexSpec) -> None:
    opened._index = axes(spec, TIED)
    whole = page(opened, Query.of_text("红色裙", ITEMS))
    pages = opened.search([Query((TextPart("红色裙"),), 7, offset) for offset in range(0, 126, 7)])
    joined = [item for hits in pages.hits if isinstance(hits, Hits) for item in hits.item_ids]
    assert tuple(joined[:126]) == whole.item_ids[:126]


@pytest.mark.parametrize("spec", SPECS)
def test_excluded_items_leave_their_page_full(opened: SearchPipeline, spec: IndexSpec) -> None:
    index = Counting(axes(spec, APART))
    opened._index = index  # type: ignore[arg-type]
    whole = page(opened, Query.of_text("红色裙", 60))
    excluded = frozenset({*map(str, whole.item_ids[2:9]), "of no item"})
    rest = whole.item_ids[:2] + whole.item_ids[9:]
    for offset in (0, 5, 50, 60):
        hits = page(opened, Query((TextPart("红色裙"),), 6, offset, excluded))
        assert hits.item_ids == rest[offset : offset + 6]


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 7, 300, 1500])
@pytest.mark.parametrize("cache_size", [0, 2000])
def test_a_gpu_finds_the_nearest_items(bundle: Path, count: int, cache_size: int) -> None:
    pipeline = SearchPipeline.open(bundle, device="cuda", precision="fp32", cache_size=cache_size)
    asked, stored = texts(count), np.asarray(pipeline.bundle.vectors)
    truth = pipeline.encode_texts(asked).vectors @ stored.T
    best = -np.sort(-truth, axis=1)[:, :10]
    pipeline.warm_up()
    for _ in range(3):  # from the second time on cached, if at all
        results = pipeline.search([Query.of_text(text, 10) for text in asked])
        hits = [each for each in results.hits if isinstance(each, Hits)]
        keys = np.array([each.item_ids for each in hits]) - 1000
        scores = np.array([each.scores for each in hits])
        np.testing.assert_allclose(scores, best, atol=1e-4)
        np.testing.assert_allclose(np.take_along_axis(truth, keys, 1), scores, atol=1e-4)
        assert sorted(results.times) == ["encode", "search", "tokenise"]
        assert min(results.times.values()) > 0
