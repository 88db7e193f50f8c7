"""Pages under filters, of distinct products and without near duplicates, against brute force."""

from collections import Counter
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
from tusou.core.errors import InvalidRequest
from tusou.core.hits import Hits
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.retrieval import retriever
from tusou.retrieval.pages import PreparedQuery, find_pages
from tusou.retrieval.query import Query, TextPart
from tusou.retrieval.searched_items import SearchedItems

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
        pages = [page.hits for page in find_pages(items, [prepared for prepared, _ in batch])]
    for (prepared, number), hits in zip(batch, pages, strict=True):
        passing = [key for key in range(count) if number is None or FILTERS[number][1](rows[key])]
        ranking, query = truth.ranking(prepared, passing), prepared.query
        page = truth.shown(query, ranking)[query.offset : query.offset + query.top_k]
        assert keys_of(items, hits.item_ids).tolist() == page
        np.testing.assert_array_equal(hits.scores, (vectors @ prepared.vector)[page])
        grouped = query.distinct or query.collapse
        expected = [truth.others(query, hit, ranking) for hit in page] if grouped else []
        assert list(hits.others) == expected
        assert hits.matching_items == (None if number is None else len(passing))


COUNT = 200


def drawn_items(spec: IndexSpec | None = None) -> tuple[SearchedItems, BruteForce]:
    """Return items of which every fourth is a near duplicate of the one before."""
    vectors = unit_vectors(COUNT, 1)
    vectors[3::4] = vectors[2::4] + 0.02 * unit_vectors(COUNT // 4, 2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = draw_attributes(COUNT)
    return make_items(spec or FaissSpec("Flat"), vectors, rows), BruteForce(vectors, rows)


def page(items: SearchedItems, query: Query, excluded: frozenset[int] = frozenset()) -> Hits:
    ((hits, _),) = find_pages(items, [prepare(unit_vectors(1, 7)[0], query, excluded)])
    return hits


@pytest.mark.parametrize("widen", [False, True])
@pytest.mark.parametrize("distinct", [None, "product_id"])
@pytest.mark.parametrize("collapse", [False, True])
@pytest.mark.parametrize("number", [None, 1, 2])
def test_pages_join(
    monkeypatch: pytest.MonkeyPatch,
    widen: bool,
    distinct: str | None,
    collapse: bool,
    number: int | None,
) -> None:
    if widen:
        widen_always(monkeypatch)
    items, _ = drawn_items()
    selected = None if number is None else parse_filter(FILTERS[number][0])
    query = replace(PLAIN, filter=selected, distinct=distinct, collapse=collapse)
    whole = page(items, replace(query, top_k=COUNT))
    assert len(whole) > 20
    pages = [page(items, replace(query, top_k=7, offset=start)) for start in range(0, COUNT, 7)]
    joined = [item_id for hits in pages for item_id in hits.item_ids]
    assert tuple(joined) == whole.item_ids
    assert tuple(count for hits in pages for count in hits.others) == whole.others


def test_near_duplicates_stand_behind_the_better_one() -> None:
    items, truth = drawn_items()
    hits = page(items, replace(PLAIN, collapse=True, top_k=COUNT))
    keys = keys_of(items, hits.item_ids)
    assert len(keys) == COUNT * 3 // 4
    assert [hits.others[n] for n, key in enumerate(keys) if key % 4 in (2, 3)] == [1] * 50
    ranking = truth.ranking(prepare(unit_vectors(1, 7)[0], PLAIN), range(COUNT))
    better = [
        key for key in ranking if key % 4 == 2 and ranking.index(key) < ranking.index(key + 1)
    ]
    assert set(better) == {key for key in keys.tolist() if key % 4 == 2}


def test_an_excluded_duplicate_is_not_counted() -> None:
    items, _ = drawn_items()
    hits = page(items, replace(PLAIN, collapse=True, top_k=COUNT), frozenset({3, 6}))
    others = dict(zip(keys_of(items, hits.item_ids).tolist(), hits.others, strict=True))
    assert (others[2], others[7]) == (0, 0)


def test_facets_count_what_passes_and_not_the_page() -> None:
    items, truth = drawn_items()
    query = replace(PLAIN, top_k=1, facets=("category", "tags"), filter=parse_filter(FILTERS[1][0]))
    passing = [row for row in truth.rows if FILTERS[1][1](row)]
    for hits in (page(items, query), page(items, query, frozenset(range(90)))):
        categories = Counter(row["category"] for row in passing if "category" in row)  # type: ignore[misc]
        assert dict(hits.facets["category"]) == categories
        assert [count for _, count in hits.facets["category"]] == sorted(
            categories.values(), reverse=True
        )
        tags = Counter(tag for row in passing for tag in row.get("tags", ()))  # type: ignore[union-attr]
        assert dict(hits.facets["tags"]) == tags
        assert hits.matching_items == len(passing)


def test_facets_without_a_filter_count_all_items() -> None:
    items, truth = drawn_items()
    hits = page(items, replace(PLAIN, facets=("category",)))
    assert dict(hits.facets["category"]) == Counter(
        row["category"]  # type: ignore[misc]
        for row in truth.rows
        if "category" in row
    )
    assert hits.matching_items == COUNT


def test_the_fields_asked_for_come_with_each_hit() -> None:
    items, truth = drawn_items()
    hits = page(items, replace(PLAIN, fields=("price", "tags"), offset=3))
    keys = keys_of(items, hits.item_ids).tolist()
    assert [dict(each) for each in hits.attributes] == [
        {name: truth.rows[key][name] for name in ("price", "tags") if name in truth.rows[key]}
        for key in keys
    ]


def test_nothing_is_added_that_is_not_asked_for() -> None:
    items, _ = drawn_items()
    hits = page(items, PLAIN)
    assert (hits.attributes, hits.others, hits.facets, hits.matching_items) == ((), (), {}, None)


UNKNOWN = [
    ({"distinct": "product"}, ("body", "distinct"), "product"),
    ({"fields": ("price", "titel")}, ("body", "fields", 1), "titel"),
    ({"facets": ("farbe",)}, ("body", "facets", 0), "farbe"),
    ({"filter": parse_filter({"preis": 5})}, ("body", "filter"), "preis"),
]


@pytest.mark.parametrize(("options", "location", "name"), UNKNOWN)
def test_an_unknown_attribute_is_named(
    options: dict[str, Any], location: tuple[str, ...], name: str
) -> None:
    items, _ = drawn_items()
    with pytest.raises(InvalidRequest) as caught:
        items.check(replace(PLAIN, **options))
    (detail,) = caught.value.details
    assert (detail.loc, detail.type) == (location, "unknown_attribute")
    assert detail.detail == (
        f"No attribute is called “{name}”; there are: “category”, “price”, “product_id”, “tags”."
    )
    assert str(caught.value) == detail.detail


@pytest.mark.parametrize(("options", "location", "name"), UNKNOWN)
def test_items_without_attributes_have_nothing_to_filter(
    options: dict[str, Any], location: tuple[str, ...], name: str
) -> None:
    del location, name
    items = make_items(TorchSpec(), unit_vectors(5, 1), None)
    items.check(replace(PLAIN, collapse=True))
    with pytest.raises(InvalidRequest, match="The items have no attributes"):
        items.check(replace(PLAIN, **options))
