"""Live changes over every type of index: each search sees exactly the items that are there."""

from dataclasses import replace

from tests.contract.conftest import OpenPool
from tests.contract.pools import FILTERS, PLAIN, QUERIES, Pool, item_id_of, with_filter
from tusou.live.operations import Delete

ALL = replace(PLAIN, top_k=500)


def assert_all_are_found(pool: Pool) -> None:
    """Compare all hits, without a filter and with each, with brute force."""
    for vector, hits in zip(QUERIES, pool.hits(ALL), strict=True):
        assert list(hits.item_ids) == pool.ranking(vector)
    for number, (_, passes) in enumerate(FILTERS[:4]):
        found = pool.hits(with_filter(number, top_k=500))
        for vector, hits in zip(QUERIES, found, strict=True):
            assert list(hits.item_ids) == pool.ranking(vector, passes)


def test_an_added_item_is_found_at_once(open_pool: OpenPool) -> None:
    pool = open_pool()
    pool.change(pool.upsert("新款", 7, {"category": "鞋", "price": 20}))
    assert_all_are_found(pool)
    assert "新款" in pool.hits(with_filter(1, top_k=500))[0].item_ids


def test_a_replaced_item_is_found_once_with_what_it_has_now(open_pool: OpenPool) -> None:
    pool = open_pool()
    for row in (30, 31, 32):
        pool.change(pool.upsert(item_id_of(3), row, {"price": row}), pool.upsert("新款", row))
        assert_all_are_found(pool)
    assert pool.hits(ALL)[0].item_ids.count(item_id_of(3)) == 1


def test_a_removed_item_never_comes_back(open_pool: OpenPool) -> None:
    pool = open_pool()
    pool.change(pool.upsert("新款", 7), Delete(item_id_of(4)))
    pool.change(Delete("新款"))
    assert_all_are_found(pool)
    for query in (ALL, replace(ALL, distinct="product_id"), replace(ALL, collapse=True)):
        for hits in pool.hits(query):
            assert not {"新款", item_id_of(4)} & set(hits.item_ids)
    pool.change(pool.upsert(item_id_of(4), 9))  # an item of the same id is another one
    assert_all_are_found(pool)


def test_an_emptied_pool_finds_new_items_alone(open_pool: OpenPool) -> None:
    pool = open_pool()
    pool.change(*map(Delete, list(pool.items)))
    assert [len(hits) for hits in pool.hits(ALL)] == [0, 0, 0]
    pool.change(pool.upsert("新款", 0))
    assert [hits.item_ids for hits in pool.hits(ALL)] == [("新款",)] * 3


def test_every_state_between_random_changes_is_searched_exactly(open_pool: OpenPool) -> None:
    pool = open_pool()
    for _ in range(12):
        pool.change_at_random(10)
        assert_all_are_found(pool)
        assert pool.searched.version.endswith(f"+{pool.store.position if pool.store else None}")
