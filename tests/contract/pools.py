"""Items in an index of any type, with and without live changes, and the same items in a dict."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from drawn_items import SCHEMA, draw_attributes

from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tusou.attributes.filters import Filter, parse_filter
from tusou.attributes.schema import Attributes, AttributeValue
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.core.hits import Hits
from tusou.core.ids import ItemId
from tusou.indexes import VectorIndex, create_index, load_index
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.live.operations import Delete, Operation, Patch, Upsert
from tusou.live.store import LiveStore
from tusou.retrieval.collection_writer import CollectionWriter
from tusou.retrieval.filtering_live_index import open_live_index
from tusou.retrieval.grouping import NEAR_DUPLICATE_COSINE
from tusou.retrieval.item_view import VersionView
from tusou.retrieval.pages import PreparedQuery, find_pages
from tusou.retrieval.query import Query
from tusou.retrieval.searched_items import SearchedItems
from tusou.stages.hub_bias import HubCorrection

COUNT = 120
QUERIES = unit_vectors(3, 11)
PLAIN = Query((), 10)
# Approximate types are given so much work that they are exact: all lists, all candidates.
INDEXES: dict[str, IndexSpec] = {
    "exact": FaissSpec("Flat"),
    "faiss-lists": FaissSpec("IVF4,Flat", "nprobe=4"),
    "faiss-file": FaissSpec("PQ8x4fs,RFile", "k_factor_rf=120"),
    "torch": TorchSpec(),
}

Row = tuple[Vectors, Attributes]
Passes = Callable[[Attributes], bool]
FILTERS: list[tuple[object, Passes]] = [
    ({"price": {"$lt": 250}}, lambda row: int(row.get("price", 999)) < 250),  # type: ignore[arg-type]
    ({"category": "鞋"}, lambda row: row.get("category") == "鞋"),
    ({"tags": {"$in": ["夏季"]}}, lambda row: "夏季" in row.get("tags", ())),  # type: ignore[operator]
    ({"$not": {"category": {"$exists": True}}}, lambda row: "category" not in row),
    ({"price": {"$gt": 10_000}}, lambda _: False),
    ({"颜色": "红"}, lambda row: row.get("颜色") == "红"),  # named by a live change first
]


def passes_all(_: Attributes) -> bool:
    return True


class Pool:
    """A pool that is searched through an index, and by brute force through `items`.

    The order of `items` is the order of ties: a replaced item comes last.
    """

    def __init__(self, bundle: Bundle, root: Path, index: VectorIndex, *, live: bool) -> None:
        self.index, self._bundle = index, bundle
        self.store = LiveStore(root, bundle) if live else None
        self.writer: CollectionWriter | None = None  # of an index on a server
        rows = draw_attributes(COUNT)
        self.items: dict[str, Row] = {
            item_id_of(key): (vector, row)
            for key, (vector, row) in enumerate(zip(drawn_vectors(), rows, strict=True))
        }
        self._random = np.random.default_rng(3)

    @property
    def searched(self) -> SearchedItems:
        if self.store is None:
            return SearchedItems(VersionView(self._bundle), self.index)
        snapshot = self.store.snapshot
        return SearchedItems(snapshot, open_live_index(self.index, snapshot))

    def change(self, *operations: Operation) -> None:
        """Change the pool, and the dict as the documentation says."""
        assert self.store is not None
        self.store.change(*operations)
        for operation in operations:
            if isinstance(operation, Upsert):
                self.items.pop(operation.item_id, None)
                self.items[operation.item_id] = operation.vector, operation.attributes
            elif isinstance(operation, Delete):
                self.items.pop(operation.item_id, None)
            else:
                vector, row = self.items[operation.item_id]
                row = {**row, **operation.attributes}  # type: ignore[dict-item]
                kept = {name: value for name, value in row.items() if value is not None}
                self.items[operation.item_id] = vector, kept

    def change_at_random(self, count: int) -> None:
        for _ in range(count):
            self.change(self._draw_operation())

    def _draw_operation(self) -> Operation:
        known = sorted(self.items)
        item_id = known[int(self._random.integers(len(known)))]
        kind = self._random.integers(5)
        if kind == 0:
            return Delete(item_id)
        if kind == 1:
            return Patch(item_id, {"price": int(self._random.integers(1, 500)), "category": None})
        if kind == 2:
            return Patch(item_id, {"颜色": ["红", "蓝"][self._random.integers(2)]})
        if kind == 3:  # otherwise an item is replaced
            item_id = f"新 {self._random.integers(1000)}"
        (row,) = draw_attributes(1, int(self._random.integers(1000)))
        return self.upsert(item_id, int(self._random.integers(COUNT)), row)

    def upsert(self, item_id: str, row: int, attributes: Attributes | None = None) -> Upsert:
        """Return the upsert of an item that ties with an item of the version."""
        vector = drawn_vectors()[row]
        return Upsert(item_id, b"\xff\xd8\xff", vector, MODEL, attributes or {})

    def hits(self, query: Query, excluded: Iterable[str] = ()) -> list[Hits]:
        """Return the page of each query vector."""
        items = self.searched
        keys = (items.key(item_id) for item_id in excluded)
        known = frozenset(key for key in keys if key is not None)
        prepared = [PreparedQuery(query, each, known, truncated=False) for each in QUERIES]
        return [page.hits for page in find_pages(items, prepared)]

    def ranking(self, vector: Vectors, passes: Passes = passes_all) -> list[str]:
        """Return all items that pass, best first, by brute force."""
        scores = {
            item_id: round(score(stored, vector), 5)
            for item_id, (stored, row) in self.items.items()
            if passes(row)
        }
        return sorted(scores, key=lambda item_id: -scores[item_id])  # stable

    def scores(self, vector: Vectors, ids: Sequence[ItemId]) -> list[float]:
        return [score(self.items[str(item_id)][0], vector) for item_id in ids]

    def product(self, item_id: str) -> AttributeValue | tuple[str]:
        """Return the product of an item; without one, it is its own."""
        return self.items[item_id][1].get("product_id", (item_id,))  # type: ignore[return-value]

    def look_the_same(self, one: str, other: str) -> bool:
        return score(self.items[one][0], self.items[other][0]) >= NEAR_DUPLICATE_COSINE


def item_id_of(key: int) -> str:
    return f"{key // 5}.jpg#zhc#{key % 5}"


def drawn_vectors() -> Vectors:
    """Draw the vectors of the version: some are equal, some nearly."""
    vectors = unit_vectors(COUNT, 1)
    vectors[1::6] = vectors[0::6]
    vectors[4::12] = vectors[3::12] + np.float32(0.02) * unit_vectors(COUNT // 12, 2)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / norms).astype(np.float32)
    return unit


def score(one: Vectors, other: Vectors) -> float:
    return float(one.astype(np.float64) @ other.astype(np.float64))


def write_bundle(
    root: Path, collection: dict[str, str] | None = None, hub: HubCorrection | None = None
) -> Bundle:
    """Publish a version of the items as they are before any change."""
    ids = [item_id_of(key) for key in range(COUNT)]
    contents = [b"\xff\xd8\xff%d" % key for key in range(COUNT)]
    rows = draw_attributes(COUNT)
    return write_vector_bundle(
        root, ids, drawn_vectors(), contents, SCHEMA, rows, collection=collection, hub=hub
    )


def open_local(folder: Path, spec: IndexSpec, *, live: bool) -> Pool:
    """Open a pool whose index is searched by this process."""
    bundle = write_bundle(folder / "b")
    built = create_index(spec, bundle.dim)
    built.fill(drawn_vectors())
    built.save(folder / "index")
    index = load_index(spec, folder / "index", "cpu", bundle.vector_file)
    return Pool(bundle, folder / "b", index, live=live)


def with_filter(number: int, **options: object) -> Query:
    selected: Filter = parse_filter(FILTERS[number][0])
    return replace(PLAIN, filter=selected, **options)  # type: ignore[arg-type]
