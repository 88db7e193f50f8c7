"""The calls choose stages, take feedback, and return what the stages made of the order."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from drawing import image_bytes
from fastapi.testclient import TestClient

from tests.tusou_service.tiny import TinyPipeline, TinySource, connected
from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.query import DISLIKE_WEIGHT, LIKE_WEIGHT, ItemPart, Query, TextPart


class Staged(TinyPipeline):
    """Adjusts and reranks where the query lets it."""

    def _hits(self, query: Query) -> Hits | TusouError:
        hits = super()._hits(query)
        if isinstance(hits, TusouError):
            return hits
        if query.adjust:
            hits = replace(hits, adjusted_scores=tuple(score / 2 for score in hits.scores))
        if query.explain:
            hits = replace(hits, stage_scores=tuple({"retrieve": score} for score in hits.scores))
        return replace(hits, rerank="partial") if query.rerank else hits


@pytest.fixture
def staged(source: TinySource) -> Iterator[tuple[TestClient, Staged]]:
    pipeline = Staged(source.pipeline.bundle)
    source.pipeline = pipeline
    with connected(source) as client:
        yield client, pipeline


def post(client: TestClient, path: str = "/search", **body: object) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_stages_of_a_bundle_run_unless_they_are_left_out(
    staged: tuple[TestClient, Staged],
) -> None:
    client, pipeline = staged
    answer = post(client, query="裙", top_k=2)
    assert (answer["adjusted_scores"], answer["rerank"]) == ([0.5, 0.4921875], "partial")
    assert "stage_scores" not in answer
    plain = post(client, query="裙", top_k=2, adjust=False, rerank=False, explain=True)
    assert plain["stage_scores"] == [{"retrieve": 1.0}, {"retrieve": 0.984375}]
    assert {"adjusted_scores", "rerank"}.isdisjoint(plain)
    choices = [(query.adjust, query.rerank, query.explain) for query in pipeline.queries_received]
    assert choices == [(True, True, False), (False, False, True)]


def test_a_batch_and_an_image_take_the_same_options(staged: tuple[TestClient, Staged]) -> None:
    client, pipeline = staged
    batch = post(client, "/search/batch", queries=["裙", "鞋"], top_k=1, rerank=False)
    for result in batch["results"]:
        assert result["adjusted_scores"] == [0.5]
        assert "rerank" not in result
    reply = client.post(
        "/search/image",
        params={"adjust": "false", "explain": "true"},
        content=image_bytes(1),
        headers={"Content-Type": "image/jpeg"},
    )
    assert reply.status_code == 200, reply.text
    assert reply.json()["stage_scores"][0] == {"retrieve": 1.0}
    assert (pipeline.queries_received[-1].adjust, pipeline.queries_received[-1].rerank) == (
        False,
        True,
    )


def test_liked_and_disliked_items_are_parts_of_the_query(
    staged: tuple[TestClient, Staged],
) -> None:
    client, pipeline = staged
    answer = post(client, query="裙", top_k=5, like=[3, "4"], dislike=[1])
    assert {1, 3, 4}.isdisjoint(answer["item_ids"])
    assert pipeline.queries_received[-1].parts == (
        TextPart("裙"),
        ItemPart("3", LIKE_WEIGHT / 2),
        ItemPart("4", LIKE_WEIGHT / 2),
        ItemPart("1", -DISLIKE_WEIGHT),
    )
    post(client, like=[3])
    assert pipeline.queries_received[-1].parts == (ItemPart("3", LIKE_WEIGHT),)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"query": "裙", "adjust": "no"}, ["body", "adjust"]),
        ({"query": "裙", "rerank": 1}, ["body", "rerank"]),
        ({"query": "裙", "like": list(range(33))}, ["body", "like"]),
        ({"query": "裙", "dislike": [1.5]}, ["body", "dislike", 0]),
        ({"dislike": [1]}, ["body", "query"]),
    ],
)
def test_what_cannot_be_meant_is_named(
    staged: tuple[TestClient, Staged], body: dict[str, object], loc: list[object]
) -> None:
    client, pipeline = staged
    response = client.post("/search", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][: len(loc)] == loc
    assert not pipeline.queries_received


def test_an_unknown_item_is_named(staged: tuple[TestClient, Staged]) -> None:
    client, _ = staged
    response = client.post("/search", json={"query": "裙", "like": [999]})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_item")
