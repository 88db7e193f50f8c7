"""Searches of items with biases, for every type of index, against cosine minus bias."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_items import BruteForce, draw_attributes, keys_of, make_items, prepare
from hypothesis import given, settings
from hypothesis import strategies as st

from tusou.attributes.filters import parse_filter
from tusou.core.arrays import Vectors
from tusou.core.hits import Hits
from tusou.indexes.specs import FaissSpec, IndexSpec, TorchSpec
from tusou.retrieval import retriever
from tusou.retrieval.pages import PreparedQuery, find_pages
from tusou.retrieval.query import Query, TextPart
from tusou.retrieval.searched_items import SearchedItems
from tusou.stages.hub_bias import HubCorrection, as_bias

DIM, COUNT = 24, 400
PLAIN = Query((TextPart("裙"),), 10)
CHEAP = parse_filter({"price": {"$lt": 250}})
EXACT_SPECS = [TorchSpec(), FaissSpec("Flat"), FaissSpec("IVF4,Flat", "nprobe=4")]
# Codes that find all candidates here, compared again with whole vectors or their halves.
REFINED_SPECS = [
    FaissSpec("SQ8,RFlat", "k_factor_rf=8"),
    FaissSpec("SQ8,RFile", "k_factor_rf=8"),
    FaissSpec("PQ16x4fs,RFlat", "k_factor_rf=32"),
    FaissSpec("IVF4,PQ16x4fs,RFile", "nprobe=4,k_factor_rf=32"),
    FaissSpec("PCAR24,PQ12x4fs,RFlat", "k_factor_rf=32"),
    FaissSpec("HNSW32", "efSearch=256"),
]


def unit_vectors(count: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def search(items: SearchedItems, batch: list[PreparedQuery]) -> list[Hits]:
    return [page.hits for page in find_pages(items, batch)]


@st.composite
def queries(draw: st.DrawFn, count: int) -> PreparedQuery:
    query = replace(
        PLAIN,
        top_k=draw(st.sampled_from([1, 3, 10, 100])),
        offset=draw(st.sampled_from([0, 0, 1, 5, 40])),
        filter=draw(st.sampled_from([None, CHEAP])),
        distinct=draw(st.sampled_from([None, "product_id"])),
        collapse=draw(st.booleans()),
        adjust=draw(st.sampled_from([True, True, False])),
    )
    excluded = draw(st.frozensets(st.integers(0, count - 1), max_size=4))
    vector = draw(st.sampled_from(EIGHTHS))
    return prepare(vector, query, excluded)


# Items are axes, so their scores are exact and many tie.
EIGHTHS = [
    np.roll(np.array([4, 3, 2, 1, 0, 0, 2, 5] + [0] * 16, np.float32) / 8, n) for n in (0, 3)
]


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(EXACT_SPECS), st.booleans())
def test_pages_are_those_of_brute_force(data: st.DataObject, spec: IndexSpec, widen: bool) -> None:
    count = data.draw(st.integers(8, 90))
    axes = np.arange(count) % 8
    axes[8:] = np.random.default_rng(count).permutation(axes[8:])
    vectors, rows = np.eye(DIM, dtype=np.float32)[axes], draw_attributes(count)
    eighths = data.draw(st.lists(st.integers(0, 4), min_size=8, max_size=8))
    # Equal items have equal biases; items of other axes never have equal scores.
    bias = (np.array(eighths) / 8 + np.arange(8) / 64)[axes].astype(np.float32)
    items, truth = make_items(spec, vectors, rows, bias), BruteForce(vectors, rows, bias)
    batch = data.draw(st.lists(queries(count), min_size=1, max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        if widen:
            patch.setattr(retriever, "_COMPARED_ITEMS", 0)
            patch.setattr(retriever, "_COMPARED_PER_NEIGHBOR", 0)
        pages = search(items, batch)
    for prepared, hits in zip(batch, pages, strict=True):
        query = prepared.query
        passing = [
            key
            for key in range(count)
            if query.filter is None or int(rows[key].get("price", 999)) < 250  # type: ignore[arg-type]
        ]
        ranking = truth.ranking(prepared, passing)
        page = truth.shown(query, ranking)[query.offset : query.offset + query.top_k]
        assert keys_of(items, hits.item_ids).tolist() == page
        np.testing.assert_array_equal(hits.scores, (vectors @ prepared.vector)[page])
        adjusted = truth.scores(prepared)[page] if query.adjust else ()
        np.testing.assert_array_equal(hits.adjusted_scores, adjusted)
        grouped = query.distinct or query.collapse
        expected = [truth.others(query, hit, ranking) for hit in page] if grouped else []
        assert list(hits.others) == expected


VECTORS, BATCH = unit_vectors(COUNT, 1), unit_vectors(20, 2)
BIAS = as_bias(np.random.default_rng(3).uniform(0, 0.5, COUNT))


@pytest.mark.parametrize("adjust", [True, False])
@pytest.mark.parametrize("spec", REFINED_SPECS, ids=lambda spec: spec.factory)
def test_an_index_of_codes_finds_the_adjusted_ranking(spec: IndexSpec, adjust: bool) -> None:
    items = make_items(spec, VECTORS, None, BIAS)
    truth = BruteForce(VECTORS, [], BIAS)
    batch = [prepare(vector, replace(PLAIN, adjust=adjust)) for vector in BATCH]
    for prepared, hits in zip(batch, search(items, batch), strict=True):
        ranking = truth.ranking(prepared, range(COUNT))[:10]
        assert keys_of(items, hits.item_ids).tolist() == ranking
        cosines = VECTORS[ranking] @ prepared.vector
        np.testing.assert_allclose(hits.scores, cosines, atol=1e-6)
        if adjust:
            np.testing.assert_allclose(hits.adjusted_scores, cosines - BIAS[ranking], atol=1e-6)
        assert bool(hits.adjusted_scores) == adjust


def test_half_precision_holds_biases_exactly() -> None:
    """The items' vectors are rounded, their biases are not."""
    items = make_items(FaissSpec("SQ8,Refine(SQfp16)", "k_factor_rf=40"), VECTORS, None, BIAS)
    halves = VECTORS.astype(np.float16).astype(np.float32)
    truth = BruteForce(halves, [], BIAS)
    batch = [prepare(vector, PLAIN) for vector in BATCH]
    for prepared, hits in zip(batch, search(items, batch), strict=True):
        ranking = truth.ranking(prepared, range(COUNT))[:10]
        assert keys_of(items, hits.item_ids).tolist() == ranking
        np.testing.assert_allclose(
            hits.adjusted_scores, halves[ranking] @ prepared.vector - BIAS[ranking], atol=1e-6
        )


def test_planted_hubs_lose_their_places() -> None:
    """All queries lean to one direction, as texts of one kind do; five items lie in it."""
    rng = np.random.default_rng(8)
    direction = unit_vectors(1, 5)
    items = unit_vectors(605, 6)
    items[:5] = direction + 0.1 * unit_vectors(5, 7)
    asked = items[rng.integers(5, 605, 400)] + direction + 0.5 * unit_vectors(400, 9)
    items, asked = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (items, asked))
    searched = make_items(FaissSpec("Flat"), items, None, HubCorrection(asked[:200]).bias(items))
    largest = []
    for adjust in (False, True):
        batch = [prepare(vector, replace(PLAIN, adjust=adjust)) for vector in asked[200:]]
        found = [keys_of(searched, hits.item_ids) for hits in search(searched, batch)]
        largest.append(int(np.bincount(np.concatenate(found)).max()))
    assert largest[0] > 190  # of 200 queries
    assert 10 * largest[1] <= largest[0]
