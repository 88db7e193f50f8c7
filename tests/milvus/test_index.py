"""The contract of `VectorIndex` for an index on Milvus, against brute force."""

import json
from dataclasses import replace
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.milvus.lite_server import LiteServer
from tusou.attributes.filters import parse_filter
from tusou.attributes.schema import Attributes, AttributeSchema, AttributeValue
from tusou.attributes.table import AttributeTable
from tusou.bundle.array_file import save_array
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Vectors
from tusou.core.errors import CorruptBundle, IncompatibleBundle, InvalidRequest
from tusou.indexes import create_index, load_index
from tusou.indexes.milvus_index import MilvusIndex
from tusou.indexes.specs import MilvusSpec

DIM, COUNT, K = 32, 500, 10


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


STORED, QUERIES = unit_vectors(COUNT, seed=1), unit_vectors(12, seed=2)
STORED[400:] = STORED[7]  # more equal vectors than a page holds
QUERIES[0] = STORED[7]
KEYS = np.arange(COUNT, dtype=np.int64)
IDS = [f"{key}.jpg#zhc#0 连衣裙" for key in KEYS]

# Texts that would end a literal, or hide what follows it.
HOSTILE = [
    '"',
    "\\",
    '" or row_key >= 0 or a5 == "',
    '\\" or true',
    "'",
    "\n",
    "\t\r",
    "",
    "𠮷",
    "%",
]
SCHEMA: AttributeSchema = {
    "上架": "date",
    "price": "number",
    "stock": "integer",
    "new": "boolean",
    "category": "string",
    "tags": "strings",
}


def attributes_of(key: int) -> Attributes:
    """Draw an item's attributes, of which some are missing."""
    drawn = np.random.default_rng(key)
    values: dict[str, AttributeValue] = {
        "上架": date.fromordinal(int(drawn.integers(738_000, 738_020))).isoformat(),
        "price": [0.1, -0.0, 1e-7, 199.5, 2.0**53, -5.0, 1e300][drawn.integers(7)],
        "stock": [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63) + 1, 7][drawn.integers(7)],
        "new": bool(drawn.integers(2)),
        "category": ["连衣裙", "鞋", *HOSTILE][drawn.integers(2 + len(HOSTILE))],
        "tags": [["夏季", "纯棉", *HOSTILE][n] for n in drawn.integers(12, size=drawn.integers(4))],
    }
    return {name: value for name, value in values.items() if drawn.integers(4)}


ROWS = [attributes_of(int(key)) for key in KEYS]
TABLE = AttributeTable.from_rows(SCHEMA, ROWS)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> VectorFile:
    path = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    save_array(path, STORED)
    return VectorFile(path, STORED.shape)


@pytest.fixture(scope="module")
def spec(server: LiteServer) -> MilvusSpec:
    return MilvusSpec(server.uri, "contract", "0" * 64, tuple(SCHEMA.items()))


@pytest.fixture(scope="module")
def saved(spec: MilvusSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = create_index(spec, DIM)
    assert isinstance(index, MilvusIndex)
    for part in slice(0, 300), slice(300, COUNT):
        index.add(KEYS[part], STORED[part], IDS[part], ROWS[part])
    path = tmp_path_factory.mktemp("index") / "index.bin"
    index.save(path)
    return path


@pytest.fixture(scope="module")
def index(spec: MilvusSpec, saved: Path, vectors: VectorFile) -> MilvusIndex:
    loaded = load_index(spec, saved, vectors=vectors)
    assert isinstance(loaded, MilvusIndex)
    return loaded


@pytest.mark.parametrize("k", [1, K, 99, 101, 150, COUNT - 1, COUNT, COUNT + 3])
def test_it_returns_what_exact_search_returns(index: MilvusIndex, k: int) -> None:
    neighbors, expected = index.search(QUERIES, k), index.search_among(QUERIES, k, KEYS)
    np.testing.assert_array_equal(neighbors.ids, expected.ids)
    np.testing.assert_array_equal(neighbors.scores, expected.scores)


def test_exact_search_among_all_is_a_brute_force_search(index: MilvusIndex) -> None:
    neighbors = index.search(QUERIES, K)
    scores = QUERIES @ STORED.T
    expected = np.take_along_axis(scores, neighbors.ids, axis=1)
    np.testing.assert_allclose(neighbors.scores, expected, atol=1e-6)
    np.testing.assert_allclose(neighbors.scores, -np.sort(-scores, axis=1)[:, :K], atol=1e-6)
    assert neighbors.ids[0].tolist() == [7, *range(400, 409)]


def test_more_results_than_milvus_returns_at_once(
    index: MilvusIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tusou.indexes.milvus_index._MAX_LIMIT", 64)
    selected = parse_filter({"stock": {"$exists": True}})
    keys = np.flatnonzero(TABLE.mask(selected))
    for k in (60, 200, COUNT):
        for neighbors, among in (
            (index.search(QUERIES, k), KEYS),
            (index.search_where(QUERIES, k, selected), keys),
        ):
            expected = index.search_among(QUERIES, k, among)
            np.testing.assert_array_equal(neighbors.ids, expected.ids)
            np.testing.assert_array_equal(neighbors.scores, expected.scores)


VALUES: dict[str, list[object]] = {
    "上架": ["2021-08-02", "2021-08-08", "0001-01-01", "9999-12-31"],
    "price": [0.1, 0, 1e-7, 199.5, 2**53, 2**53 + 1, -5, 1e300, 2.5],
    "stock": [0, 1, 0.5, -0.5, 2.0**53, 2**53 + 1, 2**63 - 1, -(2**63) + 1, 1e300, -1e300],
    "new": [True, False],
    "category": ["连衣裙", "鞋", "裤", *HOSTILE],
    "tags": ["夏季", "冬季", *HOSTILE],
}
ORDERED = ("上架", "price", "stock")
FILTERS: list[object] = [
    {},
    {"$not": {"price": {"$exists": True}, "new": {"$exists": True}}},
    {"$not": {"$or": [{"new": True}, {"price": {"$lt": 1}}]}},
    {"$not": {"$and": [{"tags": {"$ne": "夏季"}}, {"stock": {"$gte": 1}}]}},
    {"$or": [{"category": {"$in": HOSTILE}}, {"tags": {"$nin": HOSTILE}}]},
    {"price": {"$gt": 0, "$lte": 199.5}, "new": {"$ne": False}, "上架": {"$gt": "2021-08-08"}},
    {"$or": [{"stock": {"$gt": 1e300}}, {"$not": {"stock": {"$exists": False}}}]},
    *({name: {"$exists": flag}} for name, flag in product(SCHEMA, (True, False))),
    *(
        {name: {operator: value}}
        for name, values in VALUES.items()
        for operator in ("$eq", "$ne", *(("$lt", "$lte", "$gt", "$gte") if name in ORDERED else ()))
        for value in values
    ),
    *(
        {name: {operator: values}}
        for name, values in VALUES.items()
        for operator in ("$in", "$nin")
    ),
]


@pytest.mark.parametrize("value", FILTERS, ids=repr)
def test_a_filter_selects_what_the_table_selects(index: MilvusIndex, value: object) -> None:
    selected = parse_filter(value)
    keys = np.flatnonzero(TABLE.mask(selected))
    for k in (K, COUNT):
        neighbors = index.search_where(QUERIES[:3], k, selected)
        expected = index.search_among(QUERIES[:3], k, keys)
        np.testing.assert_array_equal(neighbors.ids, expected.ids)
        np.testing.assert_array_equal(neighbors.scores, expected.scores)


def test_the_collection_has_the_ids_of_the_items(index: MilvusIndex) -> None:
    assert index.collection.item_ids(np.array([0, 7, COUNT])) == {0: IDS[0], 7: IDS[7]}


def test_a_loaded_index_has_its_length(index: MilvusIndex) -> None:
    assert (len(index), index.dim, index.min_items) == (COUNT, DIM, 1)


def test_it_has_no_parameters(index: MilvusIndex) -> None:
    index.tune("")
    with pytest.raises(InvalidRequest, match="nothing to tune, got 'nprobe=3'"):
        index.tune("nprobe=3")


def test_an_empty_index_returns_padding(spec: MilvusSpec) -> None:
    neighbors = create_index(replace(spec, collection="empty"), DIM).search(QUERIES[:2], 3)
    assert neighbors.ids.tolist() == [[-1] * 3] * 2
    assert np.isneginf(neighbors.scores).all()


def test_equal_scores_come_in_id_order(spec: MilvusSpec) -> None:
    index = create_index(replace(spec, collection="ties"), DIM)
    index.fill(np.repeat(STORED[:1], 4, axis=0))
    assert index.search(STORED[:1], 4).ids.tolist() == [[0, 1, 2, 3]]


def test_a_collection_of_other_ids_is_refused(spec: MilvusSpec, saved: Path) -> None:
    with pytest.raises(IncompatibleBundle, match=r"contract of Milvus .* holds other items"):
        load_index(replace(spec, ids_sha256="1" * 64), saved)


def test_a_missing_collection_is_refused(spec: MilvusSpec, saved: Path, tmp_path: Path) -> None:
    head = json.loads(saved.read_bytes())
    (tmp_path / "index").write_text(json.dumps({**head, "collection": "gone"}))
    with pytest.raises(IncompatibleBundle, match="has no collection gone; index again"):
        load_index(replace(spec, collection="gone"), tmp_path / "index")


def test_a_collection_with_other_rows_is_refused(spec: MilvusSpec, tmp_path: Path) -> None:
    changed = replace(spec, collection="changed")
    index = create_index(changed, DIM)
    assert isinstance(index, MilvusIndex)
    index.add(KEYS[:20], STORED[:20])
    index.save(tmp_path / "index")
    load_index(changed, tmp_path / "index")
    index.add(KEYS[20:21], STORED[20:21])
    with pytest.raises(IncompatibleBundle, match="holds other items"):
        load_index(changed, tmp_path / "index")


@pytest.mark.parametrize("content", [b"not an index", b"{}", b'{"collection": 1}', b"[]"])
def test_refuses_a_file_that_is_not_an_index(
    spec: MilvusSpec, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(CorruptBundle, match="index is not a Milvus index"):
        load_index(spec, tmp_path / "index")


def test_refuses_a_file_of_another_collection(spec: MilvusSpec, saved: Path) -> None:
    with pytest.raises(CorruptBundle, match="another collection than the manifest"):
        load_index(replace(spec, collection="other"), saved)


def test_a_value_that_milvus_cannot_hold_is_named(spec: MilvusSpec) -> None:
    index = create_index(replace(spec, collection="long"), DIM)
    assert isinstance(index, MilvusIndex)
    with pytest.raises(InvalidRequest, match="value of the attribute “category”"):
        index.add(KEYS[:1], STORED[:1], IDS[:1], [{"category": "裙" * 30_000}])
