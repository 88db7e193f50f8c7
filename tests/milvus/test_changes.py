"""Live changes in the collection of a version: what other readers of the collection see."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from tusou_indexer.build import BuildSpec
from tusou_indexer.compact import compact

from benchmarks.vector_bundle import unit_vectors
from tests.contract.on_milvus import milvus_pool
from tests.contract.pools import item_id_of
from tests.milvus.building import ITEMS, Index, builder, spec_of
from tests.milvus.lite_server import LiteServer
from tusou.attributes.filters import parse_filter
from tusou.attributes.schema import Attributes
from tusou.bundle.biased_vectors import add_bias
from tusou.bundle.bundle import Bundle
from tusou.core.errors import IndexUnavailable, InvalidRequest
from tusou.core.hits import Hits
from tusou.indexes.milvus_collection import FIRST_LIVE_KEY, Collection
from tusou.indexes.milvus_index import MilvusIndex
from tusou.indexes.milvus_server import MilvusServer
from tusou.live.operations import Delete, Operation, Patch, Upsert
from tusou.live.store import LiveStore
from tusou.retrieval.collection_writer import CollectionWriter
from tusou.retrieval.local import LocalHits, open_bundle
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, TextPart
from tusou.stages.hub_bias import HubCorrection

DIM = 64
VECTORS = unit_vectors(40, 5, DIM)
NEW = "新款 #1.jpg"
ITEM = "{}.jpg#zhc#0".format
QUERY = Query((TextPart("红色连衣裙"),), 100)
CHEAP = parse_filter({"price": {"$lt": 4}})
# Values of the two attributes of `building`, as a collection holds them.
State = Mapping[str, tuple[Any, ...]]


@dataclass
class Served:
    """A bundle that is searched and changed, as a service does it."""

    pipeline: SearchPipeline
    store: LiveStore
    writer: CollectionWriter

    @property
    def bundle(self) -> Bundle:
        return self.pipeline.bundle

    def upsert(self, item_id: str, row: int, attributes: Attributes | None = None) -> Upsert:
        model = self.bundle.manifest.model.sha256
        return Upsert(item_id, f"第{row}件".encode(), VECTORS[row], model, attributes or {})

    def hits(self, query: Query = QUERY) -> Hits:
        (hits,) = self.pipeline.search([query]).hits
        assert isinstance(hits, Hits)
        return hits

    def expected(self) -> State:
        """Return what the collection should have, from the snapshot."""
        snapshot = self.store.snapshot
        keys = np.flatnonzero(snapshot.visible).tolist()
        rows = zip(keys, snapshot.vectors(keys), snapshot.attribute_rows(keys), strict=True)
        return {
            str(snapshot.id_at(key)): (row.get("category"), row.get("price"), *vector.tolist())
            for key, vector, row in rows
        }


@contextmanager
def served(root: Path) -> Iterator[Served]:
    pipeline = SearchPipeline.open(root, device="cpu")
    index = pipeline.changeable_index
    assert index is not None
    store = LiveStore(root, pipeline.bundle, None, index.check_attributes)
    pipeline.attach_live(store.items)
    writer = CollectionWriter(store.items, index.open_changes())
    try:
        yield Served(pipeline, store, writer)
    finally:
        writer.stop()
        writer.join()
        store.close()


def collection_of(bundle: Bundle) -> Collection:
    record = bundle.manifest.index.collection
    assert record
    return Collection(MilvusServer(record.uri, 5.0), record.name)


def state_of(collection: Collection) -> State:
    """Return the current items as a reader of the collection sees them; no item is there twice."""
    fields = ["item_id", "a0", "a1", "vector"]
    rows = collection.query("current == 1", fields, 10_000)
    assert len({row["item_id"] for row in rows}) == len(rows)
    return {
        row["item_id"]: (
            row["a0"].removeprefix("=") or None,
            row["a1"] if row["a1"] > -1e300 else None,
            *row["vector"],
        )
        for row in rows
    }


def wait_until_written(writer: CollectionWriter) -> None:
    until = monotonic() + 60
    while writer.behind:
        assert monotonic() < until, "the changes are not written"
        sleep(0.02)


def operation(each: Served, random: np.random.Generator) -> Operation:
    """Draw a change: of one of few items, so that the same ones change again and again."""
    item_id = [ITEM, "新 {}".format][random.integers(2)](random.integers(8))
    category = ["连衣裙", '"鞋"'][random.integers(2)]
    kind = random.integers(3)
    if kind == 0:
        return Delete(item_id)
    if kind == 1 and each.store.snapshot.find(item_id) is not None:
        return Patch(item_id, {"price": float(random.integers(9)), "category": None})
    return each.upsert(item_id, int(random.integers(40)), {"category": category})


def test_the_collection_has_the_items_as_they_are_now(index: Index, tmp_path: Path) -> None:
    index()
    random = np.random.default_rng(7)
    for _ in range(3):  # each time the service is started again
        with served(tmp_path / "bundle") as each:
            for _ in range(3):
                for _ in range(15):
                    each.store.change(operation(each, random))
                wait_until_written(each.writer)
                assert state_of(collection_of(each.bundle)) == each.expected()


def test_a_search_of_the_version_does_not_see_changes(index: Index, tmp_path: Path) -> None:
    """Answer from the version where changes are off, whatever a service has written."""
    index()
    root = tmp_path / "bundle"
    filters: list[Any] = [None, {"price": {"$lt": 4}}, {"category": '"鞋"'}]
    with open_bundle(root) as search:
        before = [search.search("红色连衣裙", 100, filter=each) for each in filters]
        with served(root) as each:
            each.store.change(
                each.upsert(ITEM(3), 1, {"price": 1.0}), Delete(ITEM(4)), each.upsert(NEW, 2)
            )
            each.store.change(Patch(ITEM(5), {"price": 900.0}))
            wait_until_written(each.writer)
        assert [search.search("红色连衣裙", 100, filter=each) for each in filters] == before
    with open_bundle(root) as search:
        assert [search.search("红色连衣裙", 100, filter=each) for each in filters] == before


def test_an_outage_delays_the_collection_and_loses_nothing(
    own_server: LiteServer, tmp_path: Path, tiny_model: Path
) -> None:
    builder(spec_of(tmp_path, own_server.uri, tiny_model), tmp_path / "bundle")()
    with served(tmp_path / "bundle") as each:
        each.store.change(each.upsert(NEW, 1))
        wait_until_written(each.writer)
        own_server.kill()
        each.store.change(Delete(ITEM(0)), each.upsert(ITEM(1), 2, {"price": 2.0}))
        each.store.change(Patch(NEW, {"category": "连衣裙"}))
        with pytest.raises(IndexUnavailable):
            each.hits()
        assert each.writer.behind == 2
        own_server.start()
        wait_until_written(each.writer)
        assert state_of(collection_of(each.bundle)) == each.expected()
        ids = each.hits().item_ids
        assert set(ids) == {NEW, *map(ITEM, range(1, ITEMS))}
        assert len(ids) == ITEMS
        own_server.kill()  # what was acknowledged to the writer is there after another start
        each.store.change(Delete(NEW))
    own_server.start()
    with served(tmp_path / "bundle") as each:
        wait_until_written(each.writer)
        assert state_of(collection_of(each.bundle)) == each.expected()
        assert NEW not in each.hits().item_ids


def test_only_changes_behind_the_position_of_the_collection_are_written(
    index: Index, tmp_path: Path
) -> None:
    index()
    with served(tmp_path / "bundle") as each:
        each.store.change(each.upsert(NEW, 1))
        each.store.change(each.upsert("另一件", 2))
        wait_until_written(each.writer)
        collection = collection_of(each.bundle)
    collection.delete(f'item_id == "{NEW}"')
    with served(tmp_path / "bundle") as each:
        each.store.change(Patch("另一件", {"price": 3.0}))
        wait_until_written(each.writer)
        assert state_of(collection).keys() == each.expected().keys() - {NEW}


def test_a_collection_with_changes_of_another_log_is_reset(index: Index, tmp_path: Path) -> None:
    index()
    root = tmp_path / "bundle"
    with served(root) as each:
        each.store.change(each.upsert(NEW, 1), Delete(ITEM(0)), Patch(ITEM(1), {"price": 7.0}))
        each.store.change(Delete(ITEM(2)))
        wait_until_written(each.writer)
    (root / "live" / "log").unlink()
    with served(root) as each:
        each.store.change(Delete(ITEM(9)))
        wait_until_written(each.writer)
        collection = collection_of(each.bundle)
        assert state_of(collection) == each.expected()
        assert len(state_of(collection)) == ITEMS - 1
        assert collection.count(f"row_key > {FIRST_LIVE_KEY}") == 0


def test_a_compaction_begins_a_collection_that_gets_the_later_changes(
    index: Index, tmp_path: Path
) -> None:
    index()
    root = tmp_path / "bundle"
    with served(root) as each:
        each.store.change(each.upsert(NEW, 1, {"price": 1.0}), Delete(ITEM(0)))
        wait_until_written(each.writer)
        first = collection_of(each.bundle)
        compact(root)
        each.store.change(Delete(NEW))  # the service has not yet changed to the next version
        second = SearchPipeline.open(root, device="cpu")
        items = each.store.attach(second.bundle)
        each.writer.stop()
        assert second.changeable_index is not None
        writer = CollectionWriter(items, second.changeable_index.open_changes(), each.writer)
        each.store.change(Patch(ITEM(1), {"price": 8.0}))
        wait_until_written(writer)
        writer.stop()
        writer.join()
        collection = collection_of(second.bundle)
        assert collection.name != first.name
        assert state_of(collection) == each.expected()
        assert NEW not in state_of(collection)


def test_filters_see_changes_at_once(index: Index, tmp_path: Path) -> None:
    index()
    query = Query((TextPart("红色连衣裙"),), 100, filter=CHEAP)
    with served(tmp_path / "bundle") as each:
        before = set(each.hits(query).item_ids)
        assert before == {ITEM(n) for n in range(8)}
        each.store.change(
            Patch(ITEM(0), {"price": 50.0}),
            Patch(ITEM(20), {"price": 0.5}),
            each.upsert(NEW, 1, {"price": 1.5}),
            Delete(ITEM(1)),
        )
        after = before - {ITEM(0), ITEM(1)} | {ITEM(20), NEW}
        hits = each.hits(query)
        assert (set(hits.item_ids), len(hits.item_ids)) == (after, len(after))
        each.store.change(Patch(ITEM(2), {"颜色": "红"}))  # an attribute that the collection lacks
        red = Query((TextPart("红色连衣裙"),), 100, filter=parse_filter({"颜色": "红"}))
        assert each.hits(red).item_ids == (ITEM(2),)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"category": "裙", "price": -sys.float_info.max}, "value of the attribute “price”"),
        (
            {f"n{n}": 1 for n in range(59)},
            "61 attributes, and a Milvus collection holds at most 60",
        ),
    ],
    ids=["value", "count"],
)
def test_a_change_that_no_collection_could_hold_is_refused(
    index: Index, tmp_path: Path, attributes: Attributes, message: str
) -> None:
    index()
    with served(tmp_path / "bundle") as each:
        with pytest.raises(InvalidRequest, match=message):
            each.store.change(each.upsert(NEW, 1, attributes))
        each.store.change(each.upsert(NEW, 1, dict(islice(attributes.items(), 1))))


def test_values_that_the_fields_do_not_hold_wait_for_the_next_version(
    index: Index, spec: BuildSpec, tmp_path: Path
) -> None:
    """A new attribute has no field; the next version has one, and all values."""
    index()
    root = tmp_path / "bundle"
    with served(root) as each:
        each.store.change(each.upsert(NEW, 1, {"颜色": "红", "price": 2.5}))
        wait_until_written(each.writer)
        assert state_of(collection_of(each.bundle))[NEW][:2] == (None, 2.5)
    compact(root)
    with open_bundle(root) as search:
        hits = search.search("裙", filter={"颜色": "红"})
        assert isinstance(hits, LocalHits)
        assert hits.item_ids == (NEW,)


def test_rows_of_live_items_have_the_biases_of_a_hub_correction(
    server: LiteServer, tmp_path: Path
) -> None:
    hub = HubCorrection(unit_vectors(40, 21), k=8)
    with milvus_pool(tmp_path, server.uri, live=True, hub=hub) as pool:
        assert isinstance(pool.index, MilvusIndex)
        assert pool.writer
        pool.change(pool.upsert(NEW, 5), pool.upsert(item_id_of(3), 7))
        wait_until_written(pool.writer)
        fields, ids = ["item_id", "vector"], [NEW, item_id_of(3)]
        rows = pool.index.collection.query("current == 1", fields, 1_000)
        stored = {row["item_id"]: np.float32(row["vector"]) for row in rows}
        vectors = np.stack([pool.items[item_id][0] for item_id in ids])
        expected = add_bias(vectors, hub.bias(vectors))
        np.testing.assert_array_equal([stored[item_id] for item_id in ids], expected)
        assert len(stored) == len(pool.items)
