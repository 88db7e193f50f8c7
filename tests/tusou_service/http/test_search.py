"""The search calls take the same options and return the same fields."""

import base64
import io
import json
import textwrap

import numpy as np
import pytest
from drawing import image_bytes
from fastapi.testclient import TestClient
from PIL import Image
from tusou_service.http.request_models import (
    MAX_RESULTS,
    BatchRequest,
    EmbeddingRequest,
    ImageSearchParameters,
    SearchRequest,
)

from tests.tusou_service.http.test_middleware import problem_of
from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, connected
from tusou.core.errors import InvalidRequest, TusouError
from tusou.core.hits import Hits
from tusou.images.formats import HEIC, IMAGE_FORMATS, JPEG_XL, ImageFormat
from tusou.retrieval.query import Query, TextPart, VectorPart
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
    in_body = {"image", "vector", "vector_weight"}
    assert fields - in_body == ImageSearchParameters.model_fields.keys()
    assert BatchRequest.model_fields.keys() - {"queries", "partial"} < fields


def test_the_image_call_is_documented_with_its_options(client: TestClient) -> None:
    call = client.get("/openapi.json").json()["paths"]["/search/image"]["post"]
    names = {option["name"] for option in call["parameters"] if option["in"] == "query"}
    assert names == {*ImageSearchParameters.model_fields}


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


class Refusing(TinyPipeline):
    """Finds out that a query cannot be searched only when it searches for it."""

    def _hits(self, query: Query) -> Hits | TusouError:
        if "抵消" in query.texts:
            return InvalidRequest("the parts of the query cancel each other out")
        return super()._hits(query)


def test_in_a_partial_batch_each_query_has_its_own_outcome(source: TinySource) -> None:
    source.pipeline = Refusing(TinyBundle("v1"))
    queries = ["裙", " ", "b" * 513, None, 5, "抵消", "不要红色的裙子"]
    with connected(source) as client:
        body = {"queries": queries, "top_k": 2, "partial": True}
        answer = client.post("/search/batch", json=body)
        refused = client.post("/search/batch", json={"queries": ["裙", "抵消"]})
    assert (answer.status_code, answer.json()["index_version"]) == (200, "v1")
    results = answer.json()["results"]
    assert results[0] == {"item_ids": [0, 1], "scores": [1.0, 0.984375], "truncated": False}
    assert results[1] == {
        "problem": {
            "type": "/problems/empty_query",
            "title": "Empty query",
            "status": 422,
            "detail": "A query needs at least one visible character.",
            "code": "empty_query",
            "errors": [{"loc": ["body", "queries", 1], "type": "empty_query"}],
        }
    }
    codes = [result.get("problem", {}).get("code") for result in results]
    kinds = ["empty_query", "query_too_long", "invalid_request", "invalid_request"]
    assert codes == [None, *kinds, "invalid_request", None]
    assert results[4]["problem"]["errors"][0]["loc"] == ["body", "queries", 4]
    assert results[6]["interpreted"] == {"positive": "裙子", "negative": "红色"}
    assert source.pipeline.texts_received == ["裙", "抵消", "裙子 红色", "裙", "抵消"]
    problem = problem_of(refused)
    assert (problem["status"], problem["code"]) == (422, "invalid_request")


def test_a_partial_batch_may_have_bad_queries_alone(client: TestClient) -> None:
    body = client.post("/search/batch", json={"queries": ["", None], "partial": True}).json()
    assert [result["problem"]["code"] for result in body["results"]] == [
        "empty_query",
        "invalid_request",
    ]
    assert body["index_version"] == "v1"


@pytest.mark.parametrize("partial", [False, None])
def test_otherwise_a_bad_query_refuses_the_batch(client: TestClient, partial: object) -> None:
    for queries, code in ((["裙", " "], "empty_query"), (["裙", None], "invalid_request")):
        response = client.post("/search/batch", json={"queries": queries, "partial": partial})
        problem = problem_of(response)
        assert (problem["status"], problem["code"]) == (422, code)
        assert problem["errors"][0]["loc"] == ["body", "queries", 1]  # type: ignore[index]


@pytest.mark.parametrize(("queries", "top_k"), [(33, 1000), (256, 126), (65, 500)])
def test_the_results_of_a_batch_are_limited(client: TestClient, queries: int, top_k: int) -> None:
    body = {"queries": ["裙"] * queries, "top_k": top_k}
    problem = problem_of(client.post("/search/batch", json=body))
    (error,) = problem["errors"]  # type: ignore[misc]
    assert (problem["status"], error["type"]) == (422, "too_many_results")
    assert str(MAX_RESULTS) in error["detail"]
    fitting = {**body, "queries": ["裙"] * (MAX_RESULTS // top_k)}
    assert f"at most {len(fitting['queries'])} queries" in error["detail"]
    assert client.post("/search/batch", json=fitting).status_code == 200


OPTIONAL_FIELDS = [
    (path, name)
    for path, model in (
        ("/search", SearchRequest),
        ("/search/batch", BatchRequest),
        ("/v1/embeddings", EmbeddingRequest),
    )
    for name, field in model.model_fields.items()
    if not field.is_required()
]
REQUIRED_FIELDS = {
    "/search": {"query": "裙"},
    "/search/batch": {"queries": ["裙"]},
    "/v1/embeddings": {"input": "裙"},
}


@pytest.mark.parametrize(("path", "name"), OPTIONAL_FIELDS)
def test_null_is_as_if_left_out(client: TestClient, path: str, name: str) -> None:
    given = REQUIRED_FIELDS[path]
    if name in given:
        given = {"item_id": 7}
    expected, answer = (client.post(path, json={**given, **more}) for more in ({}, {name: None}))
    assert answer.status_code == 200
    bodies = [{**response.json(), "took_ms": 0} for response in (expected, answer)]
    assert bodies[0] == bodies[1]


# Over the limit of a body without an image, whatever the compression.
NOISE = np.random.default_rng(1).integers(0, 256, (160, 160, 3), np.uint8)
LARGE_IMAGE = io.BytesIO()
Image.fromarray(NOISE).save(LARGE_IMAGE, "PNG")
LARGE_BASE64 = base64.b64encode(LARGE_IMAGE.getvalue()).decode()
URL_SAFE = str.maketrans("+/", "-_")


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(json.dumps(LARGE_BASE64), id="standard"),
        pytest.param(json.dumps(LARGE_BASE64.rstrip("=").translate(URL_SAFE)), id="url-safe"),
        pytest.param(json.dumps("\r\n".join(textwrap.wrap(LARGE_BASE64, 76))), id="lines"),
        pytest.param(json.dumps("data:image/png;base64," + LARGE_BASE64), id="data-uri"),
        pytest.param(
            json.dumps("data:image/svg+xml;charset=utf-8;base64," + LARGE_BASE64).replace(
                "/", "\\/"
            ),
            id="slashes-escaped",
        ),
    ],
)
def test_an_image_may_be_base64_of_any_form(client: TestClient, encoded: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert len(encoded) > 64 * 1024
    for path, field in (("/search", "image"), ("/v1/embeddings", "input")):
        if field == "image" or "data:" in encoded:
            body = f'{{"{field}": {encoded}}}'
            response = client.post(path, content=body, headers=headers)
            assert response.status_code == 200, response.text


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,"])
def test_the_image_call_reads_base64_too(client: TestClient, prefix: str) -> None:
    headers = {"Content-Type": "image/jpeg"}
    by_bytes, by_text = (
        client.post("/search/image", content=content, headers=headers)
        for content in (IMAGE, (prefix + BASE64).encode())
    )
    assert by_text.status_code == 200
    assert by_text.json()["item_ids"] == by_bytes.json()["item_ids"]


@pytest.mark.parametrize(
    "form",
    [form for form in IMAGE_FORMATS if form not in (HEIC, JPEG_XL)],
    ids=lambda form: form.name,
)
def test_an_image_of_any_format_is_accepted_by_every_call(
    client: TestClient, form: ImageFormat
) -> None:
    image = image_bytes(3, form=form.name)
    encoded = base64.b64encode(image).decode()
    media_type = {"Content-Type": form.media_type}
    for response in (
        client.post("/search/image", content=image, headers=media_type),
        client.post("/search", json={"image": encoded}),
        client.post("/v1/embeddings", json={"input": f"data:{form.media_type};base64,{encoded}"}),
    ):
        assert response.status_code == 200, response.text
    body = client.get("/openapi.json").json()["paths"]["/search/image"]["post"]["requestBody"]
    assert form.media_type in body["content"]
