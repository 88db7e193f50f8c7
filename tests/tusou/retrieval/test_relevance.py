"""Relevance of hits: cuts are prefixes of one ranking, pages fit, and other queries have none."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibrated import add_calibration, logistic, make_calibration
from drawing import image_bytes
from drawn_items import draw_attributes, make_items

from benchmarks.vector_bundle import unit_vectors
from tusou.attributes.filters import parse_filter
from tusou.core.errors import CorruptBundle, NotCalibrated
from tusou.core.hits import Hits
from tusou.images.preprocess import open_image, to_pixels
from tusou.indexes.specs import FaissSpec
from tusou.retrieval.pages import PreparedQuery, find_pages
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query, TextPart
from tusou.retrieval.relevance import RelevanceJudge
from tusou.retrieval.rerank_candidates import RerankCandidates, rerank_task
from tusou.retrieval.searched_items import SearchedItems
from tusou.stages.base import RerankTask, ScoredPart
from tusou.stages.calibration import Calibration
from tusou.stages.reranking import Reranking

DIM, COUNT = 16, 200
PLAIN = Query((), 10)
CHEAP = parse_filter({"price": {"$lt": 250}}, ("filter",))
QUERIES = [
    pytest.param(PLAIN, id="plain"),
    pytest.param(replace(PLAIN, filter=CHEAP), id="filter"),
    pytest.param(replace(PLAIN, distinct="product_id"), id="distinct"),
    pytest.param(replace(PLAIN, collapse=True), id="collapse"),
]


@pytest.fixture(scope="module")
def items() -> SearchedItems:
    return make_items(FaissSpec("Flat"), unit_vectors(COUNT, 1, DIM), draw_attributes(COUNT))


def find(items: SearchedItems, query: Query, calibration: Calibration) -> Hits:
    judge = RelevanceJudge(calibration, query, 0.0)
    prepared = PreparedQuery(
        query, unit_vectors(1, 7, DIM)[0], frozenset(), truncated=False, judge=judge
    )
    ((hits, keys),) = find_pages(items, [prepared])
    assert len(keys) == len(hits)
    return hits


@pytest.mark.parametrize("query", QUERIES)
def test_a_cut_list_is_the_start_of_the_uncut_one(items: SearchedItems, query: Query) -> None:
    calibration = Calibration(make_calibration(DIM, center=0.3))
    whole = find(items, replace(query, top_k=60), calibration)
    assert list(whole.relevance) == pytest.approx(logistic(whole.scores, 0.3))
    for least in (0.0, 0.25, 0.5, 0.9, 1.0):
        count = sum(relevance >= least for relevance in whole.relevance)
        cut = find(items, replace(query, top_k=60, min_relevance=least), calibration)
        assert (cut.item_ids, cut.relevance) == (whole.item_ids[:count], whole.relevance[:count])
        assert cut.matched is (count > 0)
        assert cut.answer_relevance == whole.answer_relevance
        assert cut.others == whole.others[:count]


@pytest.mark.parametrize("query", QUERIES)
def test_the_pages_of_a_cut_list_are_its_parts(items: SearchedItems, query: Query) -> None:
    calibration = Calibration(make_calibration(DIM, center=0.3))
    query = replace(query, min_relevance=0.4)
    whole = find(items, replace(query, top_k=100), calibration)
    assert 5 < len(whole) < 60
    for offset in range(0, 70, 4):
        page = find(items, replace(query, top_k=4, offset=offset), calibration)
        assert page.item_ids == whole.item_ids[offset : offset + 4]
        assert page.relevance == whole.relevance[offset : offset + 4]
        assert (page.matched, page.answer_relevance) == (True, whole.answer_relevance)


def test_counts_of_a_filter_are_not_cut(items: SearchedItems) -> None:
    calibration = Calibration(make_calibration(DIM, center=0.9))
    query = replace(PLAIN, filter=CHEAP, facets=("category",), min_relevance=0.5)
    cut, whole = (
        find(items, each, calibration) for each in (query, replace(query, min_relevance=None))
    )
    assert len(cut) == 0
    assert (cut.matching_items, cut.facets) == (whole.matching_items, whole.facets)


@pytest.mark.parametrize(("threshold", "matched"), [(0.1, True), (0.99, False)])
def test_without_a_least_relevance_the_calibration_decides_and_nothing_is_cut(
    items: SearchedItems, threshold: float, matched: bool
) -> None:
    calibration = Calibration(make_calibration(DIM, center=0.5, threshold=threshold))
    hits = find(items, PLAIN, calibration)
    assert (len(hits), hits.matched) == (10, matched)


class HalfReranker:
    """Scores every other item, the later ones higher."""

    depth, seconds, weight, threads = 8, 1.0, 1.0, 1

    def score(self, task: RerankTask, deadline: float) -> Iterator[ScoredPart]:
        positions = range(0, len(task.keys), 2)
        yield positions, [0.1 + position / 10 for position in positions]

    def warm_up(self) -> None: ...


def test_a_reranked_answer_is_judged_in_its_new_order_and_cut(items: SearchedItems) -> None:
    content = make_calibration(DIM, center=0.3)
    curve = content.curves["retrieve"].hit.model_copy(
        update={"weights": {"rerank": 10.0}, "intercept": -4.0}
    )
    rescored = content.curves["retrieve"].model_copy(update={"hit": curve, "answer": curve})
    content = content.model_copy(update={"curves": {**content.curves, "rerank": rescored}})
    calibration = Calibration(content)

    def search(**changes: object) -> Hits:
        query = replace(PLAIN, **changes)  # type: ignore[arg-type]
        judge = RelevanceJudge(calibration, query, 0.0)
        vector = unit_vectors(1, 7, DIM)[0]
        prepared = PreparedQuery(query, vector, frozenset(), truncated=False, depth=8, judge=judge)
        ((hits, keys),) = find_pages(items, [prepared])
        task = rerank_task(query, vector, hits, keys, items, 8)
        reranker = HalfReranker()
        reranking = Reranking(task)
        reranking.run(reranker)  # type: ignore[arg-type]
        return RerankCandidates(query, hits, task, reranker, judge).page(reranking)  # type: ignore[arg-type]

    whole = search()
    second = {0: 0.7, 2: 0.5, 4: 0.3, 6: 0.1}  # position -> score of the reranker
    own = [
        *[
            logistic(second[n], 0.4, 10) if n in second else logistic(score, 0.3)
            for n, score in enumerate(whole.scores)
        ],
    ]
    assert list(whole.relevance) == pytest.approx(np.minimum.accumulate(own).tolist(), abs=1e-6)
    assert whole.answer_relevance == pytest.approx(logistic(0.7, 0.4, 10))
    assert whole.rerank == "partial"
    least = whole.relevance[4]
    count = sum(relevance >= least for relevance in whole.relevance)
    cut = search(min_relevance=least)
    assert cut.item_ids == whole.item_ids[:count]
    assert search(min_relevance=least, offset=2, top_k=3).item_ids == cut.item_ids[2:5]


@pytest.fixture
def calibrated(copy: Path, tmp_path: Path) -> Path:
    bundle = add_calibration(copy, make_calibration(64, center=0.1), tmp_path)
    assert bundle.manifest.stages.names == ("calibration",)
    return copy


def outcomes(pipeline: SearchPipeline, queries: Sequence[Query]) -> list[object]:
    return list(pipeline.search(queries).hits)


def test_queries_of_the_calibrated_kind_have_a_relevance(calibrated: Path) -> None:
    pipeline = SearchPipeline.open(calibrated)
    refusing = Query.of_text("不带拉链的包", 5)
    steered = Query((TextPart("裙"), ItemPart("1007", -0.5)), 5)
    for hits in pipeline.search([Query.of_text("红色连衣裙", 5), refusing, steered]).hits:
        assert isinstance(hits, Hits)
        assert list(hits.relevance) == pytest.approx(logistic(hits.scores, 0.1))
        assert hits.answer_relevance == hits.relevance[0]


def test_other_queries_have_none_and_cannot_be_cut(calibrated: Path) -> None:
    pipeline = SearchPipeline.open(calibrated)
    pipeline.load_image_tower()
    image = open_image(image_bytes(7))
    (part,) = pipeline.encode_images(to_pixels(image, pipeline.transform)[None])
    for parts in ((part,), (ItemPart("1007"),), (TextPart("裙"), ItemPart("1007"))):
        plain, cut = outcomes(pipeline, [Query(parts, 5), Query(parts, 5, min_relevance=0.1)])
        assert isinstance(plain, Hits)
        assert (plain.relevance, plain.answer_relevance, plain.matched) == ((), None, None)
        assert isinstance(cut, NotCalibrated)
        assert "texts alone" in str(cut)


def test_a_bundle_without_a_calibration_says_so(bundle: Path) -> None:
    pipeline = SearchPipeline.open(bundle)
    query = Query.of_text("红色连衣裙", 5)
    plain, cut = outcomes(pipeline, [query, replace(query, min_relevance=0.0)])
    assert isinstance(plain, Hits)
    assert (plain.relevance, plain.answer_relevance, plain.matched) == ((), None, None)
    assert isinstance(cut, NotCalibrated)
    assert "tusou calibrate" in str(cut)


def test_a_damaged_calibration_is_a_corrupt_bundle(copy: Path, tmp_path: Path) -> None:
    for content in (make_calibration(63), make_calibration(64, threshold=0.5)):
        broken = content.model_copy(update={"depth": 0 if len(content.mean) == 64 else 10})
        add_calibration(copy, broken, tmp_path)
        with pytest.raises(CorruptBundle, match=r"calibration\.json: wrong value at (mean|depth)"):
            SearchPipeline.open(copy)


REFUSING = "不带拉链的包"


def read_both_ways(pipeline: SearchPipeline, text: str) -> list[object]:
    """Return the outcomes of a text whose refusals are subtracted, then of the text as written."""
    queries = [Query.of_text(text, 5, interpret=interpret) for interpret in (True, False)]
    cut = [replace(query, min_relevance=0.0) for query in queries]
    return outcomes(pipeline, [*queries, *cut])


def test_a_refusal_searched_as_written_has_no_relevance(calibrated: Path) -> None:
    pipeline = SearchPipeline.open(calibrated)
    subtracted, literal, _, refused = read_both_ways(pipeline, REFUSING)
    assert isinstance(subtracted, Hits)
    assert isinstance(literal, Hits)
    assert (len(subtracted.relevance), literal.relevance, literal.matched) == (5, (), None)
    assert isinstance(refused, NotCalibrated)
    assert "leave out interpret" in str(refused)
    for hits in read_both_ways(pipeline, "红色连衣裙"):
        assert isinstance(hits, Hits)
        assert len(hits.relevance) == 5


def test_a_calibration_on_literal_texts_serves_literal_texts(copy: Path, tmp_path: Path) -> None:
    content = make_calibration(64, center=0.1).model_copy(update={"interpret": False})
    add_calibration(copy, content, tmp_path)
    pipeline = SearchPipeline.open(copy)
    subtracted, literal, refused, _ = read_both_ways(pipeline, REFUSING)
    assert isinstance(subtracted, Hits)
    assert isinstance(literal, Hits)
    assert (subtracted.relevance, len(literal.relevance)) == ((), 5)
    assert isinstance(refused, NotCalibrated)
    assert "interpret: false" in str(refused)
    steered = Query((TextPart("裙"), TextPart("红色", -0.5)), 5)
    for query, count in ((steered, 0), (Query.of_text("红色连衣裙", 5), 5)):
        (hits,) = pipeline.search([query]).hits
        assert isinstance(hits, Hits)
        assert len(hits.relevance) == count
