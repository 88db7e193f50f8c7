"""The search calls take the same options and return the same fields."""

import base64

import pytest
from drawing import image_bytes
from fastapi.testclient import TestClient
from tusou_service.http.schemas import BatchRequest, ImageSearchParameters, SearchRequest

from tests.tusou_service.http.test_middleware import problem_of
from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource
from tusou.retrieval.query import TextPart, VectorPart
from tusou.text.negation import REFUSED_WEIGHT

IMAGE = image_bytes(1)
BASE64 = base64.b64encode(IMAGE).decode()
OPTIONS: dict[str, object] = {
    "query": "不要红色的裙子",
    "query_weight": 2,
    "image_weight": 0.5,
    "item_id": 7,
    "item_weight": 3,
    "negative": "碎花",
    "negative_item_id": "9",
    "negative_weight": 0.25,
    "top_k": 4,
    "offset": 1,
    "exclude": [0, "2"],
    "index_version": "v0",
}


def post_image(client: TestClient, **options: object) -> dict[str, object]:
    response = client.post(
        "/search/image",
        params=options,  # type: ignore[arg-type]
        content=IMAGE,
        headers={"Content-Type": "image/jpeg"},
    )
    assert response.status_code == 200, response.text
    body: dict[str, object] = response.json()
    return body


def test_the_image_call_has_every_option_of_search() -> None:
    fields = SearchRequest.model_fields.keys()
    assert fields - {"image"} == ImageSearchParameters.model_fields.keys()
    assert BatchRequest.model_fields.keys() - {"queries"} < fields


def test_the_image_call_is_documented_with_its_options(client: TestClient) -> None:
    call = client.get("/openapi.json").json()["paths"]["/search/image"]["post"]
    assert {parameter["name"] for parameter in call["parameters"]} == {
        *ImageSearchParameters.model_fields
    }


def test_an_image_as_body_is_the_field_image(client: TestClient, source: TinySource) -> None:
    by_field = client.post("/search", json={**OPTIONS, "image": BASE64}).json()
    by_body = post_image(client, **OPTIONS)
    assert by_body.pop("took_ms")
    assert by_field.pop("took_ms")
    assert by_body == by_field
    assert by_body["interpreted"] == {"positive": "裙子", "negative": "红色"}
    assert by_body["version_changed"] is True
    first, second = source.pipeline.queries_received
    assert (first.top_k, first.offset, first.exclude) == (4, 1, frozenset(("0", "2")))
    assert (first.top_k, first.offset, first.exclude) == (
        second.top_k,
        second.offset,
        second.exclude,
    )
    assert first.parts[:-1] == second.parts[:-1]
    for part in (first.parts[-1], second.parts[-1]):
        assert isinstance(part, VectorPart)
        assert part.weight == 0.5


def test_a_text_beside_an_image_can_be_searched_literally(
    client: TestClient, source: TinySource
) -> None:
    body = post_image(client, query="不要红色的裙子", interpret="false")
    assert "interpreted" not in body
    assert source.pipeline.queries_received[0].parts[0] == TextPart("不要红色的裙子")


@pytest.mark.parametrize(
    ("query", "loc", "kind"),
    [
        ("top_k=0", ["query", "top_k"], "greater_than_equal"),
        ("top_k=many", ["query", "top_k"], "int_parsing"),
        ("topk=1", ["query", "topk"], "extra_forbidden"),
        ("offset=9999", ["query", "offset"], "out_of_range"),
        ("query_weight=1", ["query", "query_weight"], "weight_without_part"),
        ("image_weight=nan", ["query", "image_weight"], "finite_number"),
        ("interpret=perhaps", ["query", "interpret"], "bool_parsing"),
    ],
)
def test_a_bad_option_of_the_image_call_is_named(
    client: TestClient, query: str, loc: list[str], kind: str
) -> None:
    headers = {"Content-Type": "image/jpeg"}
    response = client.post(f"/search/image?{query}", content=IMAGE, headers=headers)
    problem = problem_of(response)
    assert (problem["status"], problem["code"]) == (422, "invalid_request")
    (error,) = problem["errors"]  # type: ignore[misc]
    assert (error["loc"], error["type"]) == (loc, kind)
    assert "many" not in response.text
    assert "perhaps" not in response.text


def test_a_batch_reads_refusals_as_a_search_does(client: TestClient, source: TinySource) -> None:
    body = {"queries": ["连衣裙", "不要红色的裙子"]}
    plain, refusing = client.post("/search/batch", json=body).json()["results"]
    assert "interpreted" not in plain
    assert refusing["interpreted"] == {"positive": "裙子", "negative": "红色"}
    assert [query.parts for query in source.pipeline.queries_received] == [
        (TextPart("连衣裙"),),
        (TextPart("裙子"), TextPart("红色", -REFUSED_WEIGHT)),
    ]


def test_a_batch_can_be_searched_literally(client: TestClient, source: TinySource) -> None:
    body = {"queries": ["不要红色的裙子"], "interpret": False}
    (result,) = client.post("/search/batch", json=body).json()["results"]
    assert "interpreted" not in result
    assert source.pipeline.queries_received[0].parts == (TextPart("不要红色的裙子"),)


def test_a_batch_has_pages_and_leaves_items_out(client: TestClient) -> None:
    body = {"queries": ["裙", "包"], "top_k": 3, "offset": 2, "exclude": [0, "3"]}
    results = client.post("/search/batch", json=body).json()["results"]
    assert [result["item_ids"] for result in results] == [[4, 5, 6], [4, 5, 6]]
    problem = problem_of(client.post("/search/batch", json={**body, "offset": 9999}))
    assert problem["errors"][0]["loc"] == ["body", "offset"]  # type: ignore[index]


def test_a_batch_says_when_the_version_changed(client: TestClient, source: TinySource) -> None:
    body = {"queries": ["裙"], "index_version": "v1"}
    assert "version_changed" not in client.post("/search/batch", json=body).json()
    source.pipeline = TinyPipeline(TinyBundle("v2"))
    client.post("/admin/reload")
    changed = client.post("/search/batch", json=body).json()
    assert (changed["version_changed"], changed["index_version"]) == (True, "v2")
