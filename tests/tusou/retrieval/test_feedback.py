"""Feedback: Rocchio's formula over the first items, and over those that a user chose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tusou.bundle.stages import FeedbackRecord
from tusou.core.hits import Hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import DISLIKE_WEIGHT, LIKE_WEIGHT, Query, feedback_parts

FEEDBACK = FeedbackRecord(items=4, weight=0.7)


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> SearchPipeline:
    opened = SearchPipeline.open(bundle)
    opened.stages._feedback = FEEDBACK
    return opened


def search(pipeline: SearchPipeline, query: Query) -> Hits:
    (hits,) = pipeline.search([query]).hits
    assert isinstance(hits, Hits)
    return hits


@pytest.mark.parametrize("excluded", [0, 2])
def test_the_query_moves_towards_the_first_items_that_it_may_return(
    pipeline: SearchPipeline, excluded: int
) -> None:
    stored = np.asarray(pipeline.bundle.vectors)
    (query_vector,) = pipeline.encode_texts(["红色连衣裙"]).vectors
    ranked = np.argsort(-(stored @ query_vector), kind="stable")
    first = ranked[excluded : excluded + FEEDBACK.items]
    moved = query_vector + FEEDBACK.weight * stored[first].mean(axis=0)
    moved /= np.linalg.norm(moved)
    out = ranked[:excluded]
    expected = [key for key in np.argsort(-(stored @ moved), kind="stable") if key not in out][:10]
    exclude = frozenset(str(1000 + key) for key in out)
    query = replace(Query.of_text("红色连衣裙", 10, exclude=exclude), explain=True)
    hits = search(pipeline, query)
    assert list(hits.item_ids) == [1000 + key for key in expected]
    np.testing.assert_allclose(hits.adjusted_scores, stored[expected] @ moved, atol=1e-5)
    np.testing.assert_allclose(hits.scores, stored[expected] @ query_vector, atol=1e-5)
    assert [scores["adjust"] for scores in hits.stage_scores] == list(hits.adjusted_scores)
    assert [scores["retrieve"] for scores in hits.stage_scores] == list(hits.scores)


def test_a_request_can_leave_it_out(pipeline: SearchPipeline, bundle: Path) -> None:
    plain = search(SearchPipeline.open(bundle), Query.of_text("裙", 10))
    hits = search(pipeline, replace(Query.of_text("裙", 10), adjust=False))
    assert (hits.item_ids, hits.scores, hits.adjusted_scores) == (plain.item_ids, plain.scores, ())


def test_its_time_is_a_stage(pipeline: SearchPipeline, bundle: Path) -> None:
    query = Query.of_text("裙", 10)
    assert "adjust" in pipeline.search([query]).times
    assert "adjust" not in SearchPipeline.open(bundle).search([query]).times


def test_liked_and_disliked_items_move_the_query_and_are_not_returned(bundle: Path) -> None:
    pipeline = SearchPipeline.open(bundle)
    stored = np.asarray(pipeline.bundle.vectors)
    (vector,) = pipeline.encode_texts(["裙"]).vectors
    moved = (
        vector
        + LIKE_WEIGHT * stored[[3, 4]].mean(axis=0)
        - DISLIKE_WEIGHT * stored[[7, 8, 9]].mean(axis=0)
    )
    ranked = np.argsort(-(stored @ moved), kind="stable")
    expected = [key for key in ranked if key not in {3, 4, 7, 8, 9}][:10]
    parts = (*Query.of_text("裙", 1).parts, *feedback_parts([1003, "1004"], [1007, 1008, 1009]))
    hits = search(pipeline, Query(parts, 10))
    assert list(hits.item_ids) == [1000 + key for key in expected]
