"""Pages under filters, of distinct products and without near duplicates, against brute force."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from drawn_items import BruteForce, draw_attributes, keys_of, make_items, prepare
from hypothesis import given, settings
from hypothesis import strategies as st

from tusou.attributes.filters import parse_filter
from tusou.attributes.schema import Attributes
from tusou.core.arrays import Vectors
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.retrieval import retriever
from tusou.retrieval.pages import PreparedQuery, find_pages
from tusou.retrieval.query import Query, TextPart

DIM = 24
PLAIN = Query((TextPart("裙"),), 10)

# Filters of prices from 1 to 499, and whether they pass a row without a price.
FILTERS: list[tuple[dict[str, Any], Callable[[Attributes], bool]]] = [
    ({"$not": {"price": {"$gt": 10_000}}}, lambda _: True),
    ({"price": {"$lt": 250}}, lambda row: "price" in row and int(row["price"]) < 250),  # type: ignore[arg-type]
    ({"category": "鞋"}, lambda row: row.get("category") == "鞋"),
    ({"tags": {"$in": ["夏季"]}}, lambda row: "夏季" in row.get("tags", ())),  # type: ignore[operator]
    ({"price": {"$gt": 1_000}}, lambda _: False),
]
EXACT_SPECS = [TorchSpec(), FaissSpec("Flat"), FaissSpec("IVF4,Flat", "nprobe=4")]


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def widen_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retriever, "_COMPARED_ITEMS", 0)
    monkeypatch.setattr(retriever, "_COMPARED_PER_NEIGHBOR", 0)


@st.composite
def queries(draw: st.DrawFn, count: int) -> tuple[PreparedQuery, int | None]:
    """Draw a query, and the number of its filter."""
    number = draw(st.none() | st.integers(0, len(FILTERS) - 1))
    query = replace(
        PLAIN,
        top_k=draw(st.sampled_from([1, 3, 10, 100])),
        offset=draw(st.sampled_from([0, 0, 1, 5, 40])),
        filter=None if number is None else parse_filter(FILTERS[number][0]),
        distinct=draw(st.sampled_from([None, "product_id"])),
        collapse=draw(st.booleans()),
    )
    vector = unit_vectors(1, draw(st.integers(0, 9)))[0]
    excluded = draw(st.frozensets(st.integers(0, count - 1), max_size=4))
    return prepare(vector, query, excluded), number


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(EXACT_SPECS), st.booleans())
def test_pages_are_those_of_brute_force(data: st.DataObject, spec: IndexSpec, widen: bool) -> None:
    """Axes as vectors: a score is one number of the query, to the last bit, and most items tie."""
    count = data.draw(st.integers(4, 90))
    axes = data.draw(st.lists(st.integers(0, 7), min_size=count, max_size=count))
    axes[:4] = range(4)  # an IVF index has four lists
    vectors, rows = np.eye(DIM, dtype=np.float32)[axes], draw_attributes(count)
    items, truth = make_items(spec, vectors, rows), BruteForce(vectors, rows)
    batch = data.draw(st.lists(queries(count), min_size=1, max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        if widen:
            widen_always(patch)
        pages = find_pages(items, [prepared for prepared, _ in batch])
    for (prepared, number), hits in zip(batch, pages, strict=True):
        passing = [key for key in range(count) if number is None or FILTERS[number][1](rows[key])]
        ranking, query = truth.ranking(prepared, passing), prepared.query
        page = truth.shown(query, ranking)[query.offset : query.offset + query.top_k]
        assert keys_of(items, hits.item_ids).tolist() == page
        np.testing.assert_array_equal(hits.scores, (vectors @ prepared.vector)[page])
        grouped = query.distinct or query.collapse
        expected = [truth.others(query, hit, ranking) for hit in page] if grouped else []
        assert list(hits.others) == expected
        assert hits.matched == (None if number is None else len(passing))
