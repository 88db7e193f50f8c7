"""Reranking in the pipeline: pages of one reordered ranking, and what a request can leave out."""

from pathlib import Path

import pytest

from tests.rerankers import ChosenScores
from tusou.core.hits import Hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query
from tusou.retrieval.rerank_candidates import RerankCandidates

DEPTH = 12


def scramble(key: int) -> float:
    return (key * 37 % 101) / 101


@pytest.fixture
def reranker() -> ChosenScores:
    return ChosenScores(scramble, DEPTH)


@pytest.fixture
def pipeline(bundle: Path, reranker: ChosenScores) -> SearchPipeline:
    opened = SearchPipeline.open(bundle)
    opened.stages.reranker = reranker
    return opened


def search(pipeline: SearchPipeline, query: Query) -> Hits:
    (hits,) = pipeline.search([query]).hits
    assert isinstance(hits, Hits)
    return hits


def reordered(pipeline: SearchPipeline, plain: Hits) -> list[int]:
    keys = [pipeline.view.find(str(item)) for item in plain.item_ids]
    first = sorted(range(DEPTH), key=lambda n: -scramble(keys[n] or 0))
    return [*first, *range(DEPTH, len(keys))]


@pytest.mark.parametrize("size", [1, 5, 7, 30])
def test_pages_join_to_the_reordered_ranking(pipeline: SearchPipeline, size: int) -> None:
    plain = search(pipeline, Query(Query.of_text("红色连衣裙", 1).parts, 30, rerank=False))
    expected = plain.take(reordered(pipeline, plain))
    ids: list[object] = []
    scores: list[float] = []
    for offset in range(0, 30, size):
        page = search(pipeline, Query.of_text("红色连衣裙", min(size, 30 - offset), offset))
        assert page.rerank == "complete"
        ids += page.item_ids
        scores += page.scores
    assert tuple(ids) == expected.item_ids
    assert scores == pytest.approx(expected.scores, abs=1e-6)
    assert list(plain.scores) == sorted(plain.scores, reverse=True) != scores
    assert plain.rerank is None


def test_the_reranker_sees_the_texts_that_are_searched_for(
    pipeline: SearchPipeline, reranker: ChosenScores
) -> None:
    of_item = Query((ItemPart("1003"),), 3)  # it has no text: nothing is reranked
    _, hits = pipeline.search([Query.of_text("不要红色的连衣裙", 3), of_item]).hits
    assert isinstance(hits, Hits)
    assert hits.rerank is None
    assert [task.texts for task in reranker.tasks] == [("连衣裙",)]
    first = reranker.tasks[0]
    assert len(first.keys) == len(first.cosines) == DEPTH
    assert first.items.id_at(first.keys[0]) == 1000 + first.keys[0]


def test_items_that_must_not_be_returned_are_not_scored(
    pipeline: SearchPipeline, reranker: ChosenScores
) -> None:
    plain = search(pipeline, Query.of_text("裙", 3))
    excluded = frozenset(map(str, plain.item_ids))
    again = search(pipeline, Query.of_text("裙", 3, exclude=excluded))
    assert excluded.isdisjoint(map(str, again.item_ids))
    assert excluded.isdisjoint(str(1000 + key) for key in reranker.tasks[-1].keys)


def test_an_explanation_has_the_score_of_each_stage(
    pipeline: SearchPipeline, reranker: ChosenScores
) -> None:
    reranker.score_of = lambda key: None if key % 2 else scramble(key)
    query = Query(Query.of_text("裙", 1).parts, 20, explain=True)
    hits = search(pipeline, query)
    assert hits.rerank == "partial"
    scored = {1000 + key for key in reranker.tasks[0].keys if key % 2 == 0}
    for hit, scores in zip(hits, hits.stage_scores, strict=True):
        assert scores["retrieve"] == hit.score
        assert ("rerank" in scores) == (hit.item_id in scored)
        assert scores.get("rerank", scramble(int(hit.item_id) - 1000)) == pytest.approx(
            scramble(int(hit.item_id) - 1000)
        )


def test_retrieval_leaves_the_reranking_to_its_caller(pipeline: SearchPipeline) -> None:
    plain = Query(Query.of_text("裙", 1).parts, 3, rerank=False)
    candidates, hits = pipeline.retrieve([Query.of_text("裙", 3), plain]).outcomes
    assert isinstance(candidates, RerankCandidates)
    assert isinstance(hits, Hits)
    assert candidates.hits.item_ids[:3] == hits.item_ids
    assert len(candidates.hits) == DEPTH


def test_a_pool_smaller_than_the_depth_is_reranked_whole(
    three_bundles: list[Path],
) -> None:
    pipeline = SearchPipeline.open(three_bundles[0])
    pipeline.stages.reranker = ChosenScores(scramble, 100)
    hits = search(pipeline, Query.of_text("裙", 50))
    assert list(hits.item_ids) == sorted(range(100, 140), key=lambda n: -scramble(n - 100))
