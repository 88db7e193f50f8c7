"""find_neighbors: neighbors against brute force, number of neighbors, and ties."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_items import make_items
from tusou_indexer.build import BuildSpec, build

from tusou.attributes.filters import Filter, parse_filter
from tusou.cli.progress import NoProgress
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.core.hits import Hits
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.refined_search import rank_candidates
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.retrieval import retriever
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart
from tusou.retrieval.retriever import NeighborRequest, Ranking, find_neighbors
from tusou.retrieval.selection import Selection

DIM, ITEMS = 64, 300
SPECS = [
    pytest.param(FaissSpec("Flat"), id="faiss"),
    pytest.param(TorchSpec(), id="torch"),
]
TEXTS = ["红色碎花吊带裙", "北欧轻奢边几", "裙", "", "复古 ABC 2023 连衣裙", "男士黑色皮鞋，" * 12]


def texts(count: int) -> list[str]:
    return [TEXTS[number % len(TEXTS)] + str(number) * (number % 5) for number in range(count)]


def axes(spec: IndexSpec, count: int) -> VectorIndex:
    """Return an index of axes, in turn: a score is one number of the query, to the last bit.

    Every 64th item has the very same score.
    """
    index = create_index(spec, DIM)
    index.fill(np.eye(DIM, dtype=np.float32)[np.arange(count) % DIM])
    return index


def expected(count: int, queries: Vectors) -> list[list[int]]:
    """Return all keys of an index of axes, best first, equal scores by key."""
    order = np.argsort(-queries[:, np.arange(count) % DIM], axis=1, kind="stable")
    return order.tolist()


def queries(count: int) -> Vectors:
    return np.random.default_rng(3).normal(size=(count, DIM)).astype(np.float32)


def requests(vectors: Vectors, counts: Sequence[int]) -> list[NeighborRequest]:
    return [NeighborRequest(*pair) for pair in zip(vectors, counts, strict=True)]


class Counting:
    """An index that records the width of every search, and how many items it compares."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index
        self.widths: list[int] = []
        self.compared: list[int] = []
        self.selected: list[int] = []

    def __len__(self) -> int:
        return len(self._index)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        self.widths.append(k)
        return self._index.search(queries, k)

    def search_among(self, queries: Vectors, k: int, keys: Ids) -> Neighbors:
        self.compared.append(len(keys))
        return self._index.search_among(queries, k, keys)


APART, TIED = 60, ITEMS  # items with 60 different scores, and with 64


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("top_k", [1, 30, 58, 59, 60, 1000])
def test_items_without_ties_are_searched_once(spec: IndexSpec, top_k: int) -> None:
    index = Counting(axes(spec, APART))
    vectors, counts = queries(7), [1, top_k, *[2] * 5]
    rankings = find_neighbors(index, requests(vectors, counts))  # type: ignore[arg-type]
    assert index.widths == [min(max(counts) + 1, 60)]
    best = expected(APART, vectors)
    assert [each.keys for each in rankings] == [best[n][: counts[n]] for n in range(7)]
    assert [each.complete for each in rankings] == [count >= 60 for count in counts]


@pytest.mark.parametrize("spec", SPECS)
def test_items_that_tie_at_the_end_are_searched_again(spec: IndexSpec) -> None:
    index = Counting(axes(spec, TIED))
    vectors, counts = queries(30), [1 + row % 12 for row in range(30)]
    rankings = find_neighbors(index, requests(vectors, counts))  # type: ignore[arg-type]
    assert index.widths[0] == 13
    assert len(index.widths) > 1
    best = expected(TIED, vectors)
    assert [each.keys for each in rankings] == [best[n][: counts[n]] for n in range(30)]


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
    opened.items.index = axes(spec, TIED)
    whole = page(opened, Query.of_text("红色裙", ITEMS))
    pages = opened.search([Query((TextPart("红色裙"),), 7, offset) for offset in range(0, 126, 7)])
    joined = [item for hits in pages.hits if isinstance(hits, Hits) for item in hits.item_ids]
    assert tuple(joined[:126]) == whole.item_ids[:126]


@pytest.mark.parametrize("spec", SPECS)
def test_excluded_items_leave_their_page_full(opened: SearchPipeline, spec: IndexSpec) -> None:
    index = Counting(axes(spec, APART))
    opened.items.index = index  # type: ignore[arg-type]
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


@pytest.fixture
def widening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search and widen even where comparing all selected items is cheaper."""
    monkeypatch.setattr(retriever, "_COMPARED_ITEMS", 0)
    monkeypatch.setattr(retriever, "_COMPARED_PER_NEIGHBOR", 0)


def every(step: int, size: int = ITEMS) -> Selection:
    return Selection(np.arange(size) % step == 0)


@pytest.mark.parametrize("spec", SPECS)
def test_a_small_selection_is_compared_and_the_index_is_not_searched(spec: IndexSpec) -> None:
    index = Counting(axes(spec, TIED))
    vectors, selection = queries(3), every(3)
    batch = [NeighborRequest(vector, 40, selection) for vector in vectors]
    rankings = find_neighbors(index, batch)  # type: ignore[arg-type]
    assert (index.widths, index.compared) == ([], [100])  # one comparison for equal filters
    best = expected(TIED, vectors)
    assert [each.keys for each in rankings] == [
        [key for key in keys if key % 3 == 0][:40] for keys in best
    ]
    assert not any(each.complete for each in rankings)


@pytest.mark.parametrize("spec", SPECS)
def test_an_empty_selection_is_neither_compared_nor_searched(spec: IndexSpec) -> None:
    index = Counting(axes(spec, TIED))
    nothing = Selection(np.zeros(ITEMS, np.bool_))
    rankings = find_neighbors(index, [NeighborRequest(queries(1)[0], 5, nothing)])  # type: ignore[arg-type]
    assert (index.widths, index.compared) == ([], [])
    assert rankings == [Ranking([], [], complete=True)]


@pytest.mark.usefixtures("widening")
@pytest.mark.parametrize("spec", SPECS)
def test_queries_without_a_filter_are_searched_as_if_alone(spec: IndexSpec) -> None:
    index = Counting(axes(spec, APART))
    half = every(2, 60)
    first, second = queries(2)
    batch = [NeighborRequest(first, 4), NeighborRequest(second, 10, half)]
    rankings = find_neighbors(index, batch)  # type: ignore[arg-type]
    assert index.widths == [5, 28]  # 10 of a half, with room
    best = expected(APART, np.stack([first, second]))
    assert rankings[0].keys == best[0][:4]
    assert rankings[1].keys == [key for key in best[1] if key % 2 == 0][:10]


@pytest.mark.usefixtures("widening")
@pytest.mark.parametrize("spec", SPECS)
def test_it_widens_until_enough_selected_items_are_certain(spec: IndexSpec) -> None:
    """Select the items that are farthest: the share of all items misleads the first width."""
    index = Counting(axes(spec, APART))
    (vector,) = queries(1)
    farthest = expected(APART, vector[None])[0][30:]
    mask = np.isin(np.arange(APART), farthest)
    (ranking,) = find_neighbors(index, [NeighborRequest(vector, 5, Selection(mask))])  # type: ignore[arg-type]
    assert index.widths == [14, 28, 56]
    assert (ranking.keys, ranking.complete) == (farthest[:5], False)


@pytest.mark.usefixtures("widening")
@pytest.mark.parametrize("spec", SPECS)
def test_items_that_tie_at_the_end_are_seen(spec: IndexSpec) -> None:
    index = axes(spec, TIED)
    vectors, selection = queries(5), every(2)
    best = [[key for key in keys if key % 2 == 0] for keys in expected(TIED, vectors)]
    for count in range(1, 12):
        batch = [NeighborRequest(vector, count, selection) for vector in vectors]
        keys = [each.keys for each in find_neighbors(index, batch)]
        assert keys == [row[:count] for row in best]


@pytest.mark.usefixtures("widening")
@pytest.mark.parametrize("spec", SPECS)
def test_excluded_items_are_replaced(spec: IndexSpec) -> None:
    """Of 30 selected items, the first search, of 20 neighbors, sees five of the seven needed."""
    index = Counting(axes(spec, APART))
    (vector,) = queries(1)
    chosen = expected(APART, vector[None])[0][14:44]
    selection = Selection(np.isin(np.arange(APART), chosen))
    request = NeighborRequest(vector, 2, selection, frozenset(chosen[:5]))
    (ranking,) = find_neighbors(index, [request])  # type: ignore[arg-type]
    assert ranking.keys == chosen[5:7]
    assert index.widths == [20, 40]


# Index types and tunings, and the share of the true top 10 under a filter that widening must find.
APPROXIMATE = [
    pytest.param(FaissSpec("Flat"), 1.0, id="faiss-flat"),
    pytest.param(FaissSpec("IVF8,Flat", "nprobe=8"), 1.0, id="faiss-ivf"),
    pytest.param(FaissSpec("HNSW16", "efSearch=64"), 0.95, id="faiss-hnsw"),
    pytest.param(FaissSpec("SQ8,RFlat", "k_factor_rf=4"), 1.0, id="faiss-refined"),
    pytest.param(FaissSpec("PQ16x4fs,RFlat", "k_factor_rf=16"), 0.99, id="fast-scan"),
    pytest.param(FaissSpec("PCAR32,PQ16x4fs,RFlat", "k_factor_rf=16"), 0.99, id="projected"),
    pytest.param(FaissSpec("SQ8"), 0.9, id="faiss-quantised"),
]


def drawn(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


STORED, APPROXIMATE_QUERIES = drawn(1000, 1), drawn(20, 2)
FIFTH = Selection(np.random.default_rng(3).random(1000) < 0.2)
BEST_OF_FIFTH = np.argsort(-np.where(FIFTH.mask, APPROXIMATE_QUERIES @ STORED.T, -np.inf), axis=1)[
    :, :10
].tolist()


def best_of_fifth(spec: IndexSpec) -> list[list[int]]:
    index = make_items(spec, STORED, None).index
    batch = [NeighborRequest(vector, 10, FIFTH) for vector in APPROXIMATE_QUERIES]
    return [ranking.keys for ranking in find_neighbors(index, batch)]


@pytest.mark.parametrize(("spec", "_"), APPROXIMATE)
def test_every_index_type_is_exact_for_a_small_selection(spec: IndexSpec, _: float) -> None:
    assert best_of_fifth(spec) == BEST_OF_FIFTH


@pytest.mark.usefixtures("widening")
@pytest.mark.parametrize(("spec", "floor"), APPROXIMATE)
def test_a_large_selection_is_as_exact_as_the_index(spec: IndexSpec, floor: float) -> None:
    rankings = best_of_fifth(spec)
    assert {len(keys) for keys in rankings} == {10}
    pairs = zip(rankings, BEST_OF_FIFTH, strict=True)
    assert np.mean([len(set(keys) & set(best)) for keys, best in pairs]) / 10 >= floor


SIXTEENFOLD = FaissSpec("PQ16x4fs,RFlat", "k_factor_rf=16")


@pytest.mark.usefixtures("widening")
def test_candidates_that_are_not_selected_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare as many selected candidates as a search without a filter: 10 x 16, and some more."""
    compared: list[int] = []

    def count_and_rank(stored: Any, queries: Vectors, candidates: Ids, k: int) -> Neighbors:
        compared.append(candidates.size)
        return rank_candidates(stored, queries, candidates, k)

    monkeypatch.setattr("tusou.indexes.faiss_index.rank_candidates", count_and_rank)
    rankings = best_of_fifth(SIXTEENFOLD)
    assert all(160 <= count <= FIFTH.count for count in compared)
    assert len(compared) == len(rankings)


@pytest.mark.usefixtures("widening")
def test_more_equal_items_than_candidates_are_all_seen() -> None:
    stored = STORED.copy()
    stored[300:] = stored[5]
    index = make_items(SIXTEENFOLD, stored, None).index
    selection = Selection(np.arange(1000) % 2 == 1)
    for count in (3, 10, 40):
        (ranking,) = find_neighbors(index, [NeighborRequest(stored[5], count, selection)])
        assert ranking.keys == [5, *range(301, 1000, 2)][:count]


@pytest.mark.usefixtures("widening")
def test_an_index_that_runs_out_of_neighbors_gives_way_to_comparing() -> None:
    """No list holds ten selected items."""
    assert best_of_fifth(FaissSpec("IVF64,Flat", "nprobe=1")) == BEST_OF_FIFTH


class SelectsByItself(Counting):
    """An index that knows which items pass, as Milvus does."""

    def __init__(self, index: VectorIndex, passing: Ids) -> None:
        super().__init__(index)
        self._passing = passing

    def search_where(self, queries: Vectors, k: int, selected: Filter) -> Neighbors:
        assert selected == SHOES
        self.selected.append(k)
        return self._index.search_among(queries, k, self._passing)


SHOES = parse_filter({"category": "鞋"})


@pytest.mark.parametrize("spec", SPECS)
def test_an_index_that_selects_by_itself_is_left_to_it(spec: IndexSpec) -> None:
    selection = Selection(np.arange(ITEMS) % 2 == 0, SHOES)
    index = SelectsByItself(axes(spec, TIED), selection.keys)
    vectors = queries(3)
    batch = [NeighborRequest(vector, 7, selection) for vector in vectors[:2]]
    rankings = find_neighbors(index, [*batch, NeighborRequest(vectors[2], 7)])  # type: ignore[arg-type]
    best = expected(TIED, vectors)
    even = [[key for key in keys if key % 2 == 0][:7] for keys in best[:2]]
    assert [each.keys for each in rankings] == [*even, best[2][:7]]
    assert index.compared == []
    assert index.selected[0] == 8  # one more shows ties at the end
