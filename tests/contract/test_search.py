"""Searches through every type of index, with and without live changes, against brute force."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.contract.pools import FILTERS, PLAIN, QUERIES, Pool, with_filter
from tusou.retrieval import retriever

PAGES = ((1, 0), (10, 0), (7, 14), (500, 0))


@pytest.fixture(params=["compare", "widen"])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare all selected items, or search and widen, where an index does not select itself."""
    if request.param == "widen":
        monkeypatch.setattr(retriever, "_COMPARED_ITEMS", 0)
        monkeypatch.setattr(retriever, "_COMPARED_PER_NEIGHBOR", 0)


def test_a_search_finds_the_nearest_items(pool: Pool) -> None:
    for top_k, offset in PAGES:
        found = pool.hits(replace(PLAIN, top_k=top_k, offset=offset))
        for vector, hits in zip(QUERIES, found, strict=True):
            assert list(hits.item_ids) == pool.ranking(vector)[offset : offset + top_k]
            assert hits.scores == pytest.approx(pool.scores(vector, hits.item_ids), abs=1e-5)


@pytest.mark.usefixtures("method")
@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_a_filter_selects_exactly_the_items_that_pass(pool: Pool, number: int) -> None:
    if "颜色" not in pool.searched.view.schema and number == len(FILTERS) - 1:
        return  # no item of the version has the attribute
    passes = FILTERS[number][1]
    for top_k, offset in PAGES:
        found = pool.hits(with_filter(number, top_k=top_k, offset=offset))
        for vector, hits in zip(QUERIES, found, strict=True):
            ranking = pool.ranking(vector, passes)
            assert list(hits.item_ids) == ranking[offset : offset + top_k]
            assert hits.scores == pytest.approx(pool.scores(vector, hits.item_ids), abs=1e-5)
            assert hits.matching_items == len(ranking)


def test_equal_vectors_tie_to_the_last_bit_in_the_order_of_the_items(pool: Pool) -> None:
    ties = 0
    order = {item_id: position for position, item_id in enumerate(pool.items)}
    for hits in pool.hits(replace(PLAIN, top_k=500)):
        pairs = zip(hits.item_ids, hits.scores, strict=True)
        for (one, score), (other, next_score) in pairwise(pairs):
            if (pool.items[str(one)][0] == pool.items[str(other)][0]).all():
                ties += 1
                assert score == next_score
                assert order[str(one)] < order[str(other)]
    assert ties >= 3 * 10


@pytest.mark.usefixtures("method")
@pytest.mark.parametrize(
    ("number", "distinct", "collapse"),
    [(None, None, False), (0, "product_id", False), (None, "product_id", True)],
)
def test_pages_join(pool: Pool, number: int | None, distinct: str | None, collapse: bool) -> None:
    query = replace(
        PLAIN if number is None else with_filter(number), distinct=distinct, collapse=collapse
    )
    whole = pool.hits(replace(query, top_k=500))
    pages = [pool.hits(replace(query, top_k=9, offset=start)) for start in range(0, 130, 9)]
    for row, hits in enumerate(whole):
        joined = [each[row] for each in pages]
        assert tuple(i for page in joined for i in page.item_ids) == hits.item_ids[:135]
        assert tuple(n for page in joined for n in page.others) == hits.others[:135]


@pytest.mark.usefixtures("method")
@pytest.mark.parametrize("number", [None, 0, 2])
def test_distinct_shows_the_best_item_of_each_product(pool: Pool, number: int | None) -> None:
    query = PLAIN if number is None else with_filter(number)
    query = replace(query, top_k=500, distinct="product_id")
    for vector, hits in zip(QUERIES, pool.hits(query), strict=True):
        ranking = pool.ranking(vector, (lambda _: True) if number is None else FILTERS[number][1])
        products = Counter(map(pool.product, ranking))
        best = {pool.product(item_id): item_id for item_id in reversed(ranking)}
        shown = [item_id for item_id in ranking if best[pool.product(item_id)] == item_id]
        assert list(hits.item_ids) == shown
        assert list(hits.others) == [products[pool.product(item_id)] - 1 for item_id in shown]


def test_collapse_shows_the_best_of_items_that_look_the_same(pool: Pool) -> None:
    query = replace(PLAIN, top_k=500, collapse=True)
    for vector, hits in zip(QUERIES, pool.hits(query), strict=True):
        ranking, shown = pool.ranking(vector), list[str]()
        for item_id in ranking:
            if not any(pool.look_the_same(item_id, better) for better in shown):
                shown.append(item_id)
        assert list(hits.item_ids) == shown
        assert len(shown) < len(ranking)
        others = [sum(pool.look_the_same(each, other) for other in ranking) - 1 for each in shown]
        assert list(hits.others) == others


@pytest.mark.parametrize("number", [None, 0])
def test_facets_and_fields_are_those_of_the_items(pool: Pool, number: int | None) -> None:
    query = PLAIN if number is None else with_filter(number)
    query = replace(query, facets=("category", "tags"), fields=("price", "tags"))
    passes = (lambda _: True) if number is None else FILTERS[number][1]
    rows = [row for _, row in pool.items.values() if passes(row)]
    for hits in pool.hits(query):
        assert dict(hits.facets["category"]) == Counter(
            row["category"] for row in rows if "category" in row
        )
        assert dict(hits.facets["tags"]) == Counter(
            tag
            for row in rows
            for tag in row.get("tags", ())  # type: ignore[union-attr]
        )
        assert list(hits.attributes) == [
            {n: row[n] for n in ("price", "tags") if n in row}
            for row in (pool.items[str(item_id)][1] for item_id in hits.item_ids)
        ]


def test_excluded_items_are_replaced_by_the_next(pool: Pool) -> None:
    excluded = pool.ranking(QUERIES[0])[1:8]
    (hits, *_) = pool.hits(PLAIN, excluded)
    assert (
        list(hits.item_ids)
        == [item_id for item_id in pool.ranking(QUERIES[0]) if item_id not in excluded][:10]
    )
