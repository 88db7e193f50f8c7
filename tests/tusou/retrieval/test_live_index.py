"""Searches with live changes and hub correction, against comparing all items that are there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_items import SCHEMA, draw_attributes

from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.attributes.filters import Filter, parse_filter
from tusou.attributes.schema import Attributes
from tusou.bundle.manifest import VECTORS
from tusou.core.arrays import Neighbors, Vectors
from tusou.core.hits import Hits
from tusou.indexes import create_index, load_index
from tusou.indexes.base import SearchIndex
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.live.operations import Delete, Operation, Patch, Upsert
from tusou.live.store import LiveStore
from tusou.retrieval import retriever
from tusou.retrieval.live_biases import LiveBiases
from tusou.retrieval.live_index import LiveIndex
from tusou.retrieval.pages import PreparedQuery, find_pages
from tusou.retrieval.query import Query
from tusou.retrieval.searched_items import SearchedItems
from tusou.stages.hub_bias import HubCorrection

COUNT = 120
QUERIES = unit_vectors(3, 11)
PLAIN = Query((), 10)
# Every list is visited, so that an approximate index is exact too.
SPECS = (FaissSpec("Flat"), FaissSpec("IVF4,Flat", "nprobe=4"), TorchSpec())
CHEAP: tuple[object, Callable[[Attributes], bool]] = (
    {"price": {"$lt": 250}},
    lambda row: "price" in row and row["price"] < 250,  # type: ignore[operator]
)


class Changed:
    """A version with live changes that corrects hubs, and the same items in a plain dict."""

    def __init__(self, folder: Path, spec: IndexSpec) -> None:
        random = np.random.default_rng(3)
        self.vectors = unit_vectors(COUNT, 1)
        self.vectors[1::6] = self.vectors[0::6]  # ties
        rows = draw_attributes(COUNT)
        ids = [f"{n}.jpg#zhc#0" for n in range(COUNT)]
        contents = [b"\xff\xd8\xff%d" % n for n in range(COUNT)]
        self.hub = HubCorrection(unit_vectors(40, 21), k=8)
        bundle = write_vector_bundle(
            folder / "b", ids, self.vectors, contents, SCHEMA, rows, hub=self.hub
        )
        self.biases = LiveBiases(bundle)
        filling = bundle.index_vectors.read()
        filled = create_index(spec, filling.shape[1])
        filled.fill(filling)
        filled.save(folder / "index")
        self.index = load_index(spec, folder / "index", "cpu", bundle.index_vectors)
        assert bundle.path(VECTORS).exists()
        self.store = LiveStore(folder / "b", bundle)
        self.items = {
            item_id: (vector, row)
            for item_id, vector, row in zip(ids, self.vectors, rows, strict=True)
        }
        self.random = random

    def change(self, count: int) -> None:
        for _ in range(count):
            self.store.change(self._operation())

    def _operation(self) -> Operation:
        known = sorted(self.items)
        item_id = known[int(self.random.integers(len(known)))]
        kind = self.random.integers(4)
        if kind == 0:
            del self.items[item_id]
            return Delete(item_id)
        if kind == 1:
            price = int(self.random.integers(1, 500))
            vector, row = self.items[item_id]
            self.items[item_id] = vector, {**row, "price": price}
            return Patch(item_id, {"price": price})
        if kind == 2:  # otherwise an item is replaced
            item_id = f"new {self.random.integers(1000)}"
        vector = self.vectors[int(self.random.integers(COUNT))]  # a tie with another item
        (row,) = draw_attributes(1, int(self.random.integers(1000)))
        self.items[item_id] = vector, row
        return Upsert(item_id, b"\xff\xd8\xff", vector, MODEL, row)

    def searched(self) -> SearchedItems:
        snapshot = self.store.snapshot
        biases = self.biases.of(snapshot)
        return SearchedItems(snapshot, LiveIndex(self.index, snapshot, biases), biases.by_key)

    def bias(self, stored: Vectors) -> float:
        return float(self.hub.bias(stored[np.newaxis])[0])

    def expected(
        self, vector: Vectors, passes: Callable[[Attributes], bool]
    ) -> list[tuple[str, float]]:
        """Return all items that pass, best first, ties by row key."""
        snapshot = self.store.snapshot
        scored = [
            (item_id, float(stored @ vector) - self.bias(stored))
            for item_id, (stored, row) in self.items.items()
            if passes(row)
        ]
        return sorted(scored, key=lambda item: (-round(item[1], 5), snapshot.key(item[0])))


def pages(items: SearchedItems, query: Query) -> list[Hits]:
    prepared = [PreparedQuery(query, v, frozenset(), truncated=False) for v in QUERIES]
    return [page.hits for page in find_pages(items, prepared)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.factory)
@pytest.mark.parametrize("widen", [False, True])
@pytest.mark.parametrize("changes", [1, 30, 400])
def test_searches_see_exactly_the_items_that_are_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spec: IndexSpec,
    widen: bool,
    changes: int,
) -> None:
    if widen:
        monkeypatch.setattr(retriever, "_COMPARED_ITEMS", 0)
        monkeypatch.setattr(retriever, "_COMPARED_PER_NEIGHBOR", 0)
    changed = Changed(tmp_path, spec)
    changed.change(changes // 2)
    changed.searched()
    changed.change(changes - changes // 2)
    items = changed.searched()
    selected: Filter = parse_filter(CHEAP[0])
    for query, passes in ((PLAIN, lambda _: True), (replace(PLAIN, filter=selected), CHEAP[1])):
        for top_k, offset in ((1, 0), (10, 0), (7, 14), (500, 0)):
            found = pages(items, replace(query, top_k=top_k, offset=offset))
            for vector, hits in zip(QUERIES, found, strict=True):
                expected = changed.expected(vector, passes)[offset : offset + top_k]
                assert list(hits.item_ids) == [item_id for item_id, _ in expected]
                assert hits.adjusted_scores == pytest.approx(
                    [score for _, score in expected], abs=1e-5
                )
    assert items.version.endswith(f"+{changes}")


class WidthRecorder:
    """An index that keeps how many neighbors its searches asked for."""

    def __init__(self, index: SearchIndex) -> None:
        self.index, self.dim, self.widths = index, index.dim, list[int]()

    def search(self, queries: Vectors, k: int) -> Neighbors:
        self.widths.append(k)
        return self.index.search(queries, k)


def test_a_search_is_not_widened_when_the_index_has_no_more(tmp_path: Path) -> None:
    vectors, query = unit_vectors(COUNT, 1), QUERIES[:1]
    ids = [str(n) for n in range(COUNT)]
    bundle = write_vector_bundle(tmp_path / "b", ids, vectors, [b"\xff\xd8\xff"] * COUNT)
    index = create_index(FaissSpec("IVF4,Flat", "nprobe=1"), vectors.shape[1])
    index.fill(vectors)
    visited = index.search(query, COUNT).ids[0]
    visited = visited[visited >= 0]
    assert 20 < len(visited) < COUNT // 2
    store = LiveStore(tmp_path / "b", bundle)
    store.change(*(Delete(str(key)) for key in visited[:-1]))
    recorder = WidthRecorder(index)
    found = LiveIndex(recorder, store.snapshot).search(query, 10)  # type: ignore[arg-type]
    assert found.ids[0].tolist() == [visited[-1]] + [-1] * 9
    assert recorder.widths[-1] < COUNT
    store.close()
