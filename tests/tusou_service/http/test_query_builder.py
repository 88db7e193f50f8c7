"""Queries over HTTP: parts and weights, pages, images, and invalid requests."""

import base64
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
from drawing import image_bytes
from fastapi.testclient import TestClient
from tusou_service.http.body_limits import LARGE_BODIES, BodyRules
from tusou_service.settings import Settings

from tests.tusou_service.http.test_middleware import problem_of
from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, connected
from tusou.core.errors import BadModel, QueryTooLong
from tusou.retrieval.query import ItemPart, TextPart, VectorPart
from tusou.text.negation import REFUSED_WEIGHT

IMAGE = image_bytes(1)
BASE64 = base64.b64encode(IMAGE).decode()
JSON = {"Content-Type": "application/json"}


def test_the_response_to_a_text_query_to_the_byte(client: TestClient) -> None:
    text = client.post("/search", json={"query": "纯棉碎花吊带裙", "top_k": 3}).text
    assert re.sub(r"[0-9.]+}$", "TIME}", text) == (
        '{"item_ids":[0,1,2],"scores":[1.0,0.984375,0.96875],"truncated":false,'
        '"index_version":"v1","took_ms":TIME}'
    )


def test_parts_have_signed_weights(client: TestClient, source: TinySource) -> None:
    body = {
        "query": " 红裙 ",
        "query_weight": 2,
        "image": BASE64,
        "image_weight": 0.5,
        "item_id": 7,
        "negative": "碎花",
        "negative_item_id": "9",
        "negative_weight": 0.25,
    }
    assert client.post("/search", json=body).status_code == 200
    (query,) = source.pipeline.queries_received
    *parts, image = query.parts
    assert parts == [
        TextPart("红裙", 2),
        ItemPart("7", 1),
        TextPart("碎花", -0.25),
        ItemPart("9", -0.25),
    ]
    assert isinstance(image, VectorPart)
    assert (image.model, image.weight) == ("tiny", 0.5)


def test_default_weights(client: TestClient, source: TinySource) -> None:
    client.post("/search", json={"query": "裙", "item_id": 7, "negative": "红"})
    assert [part.weight for part in source.pipeline.queries_received[0].parts] == [1, 1, -0.5]


def test_items_of_the_query_are_not_returned(client: TestClient) -> None:
    response = client.post("/search", json={"item_id": 1, "negative_item_id": 2, "top_k": 3})
    assert response.json()["item_ids"] == [0, 3, 4]


def test_excluded_items_are_not_returned(client: TestClient) -> None:
    body = {"query": "裙", "top_k": 3, "exclude": [0, "2", 999, "no such"]}
    assert client.post("/search", json=body).json()["item_ids"] == [1, 3, 4]


def test_pages_continue_each_other(client: TestClient) -> None:
    pages = [
        client.post("/search", json={"query": "裙", "top_k": 20, "offset": offset}).json()
        for offset in (0, 20, 40, 60)
    ]
    assert [item for page in pages for item in page["item_ids"]] == [*range(50)]


def test_a_changed_version_is_reported(client: TestClient, source: TinySource) -> None:
    same = client.post("/search", json={"query": "裙", "index_version": "v1"}).json()
    assert "version_changed" not in same
    source.pipeline = TinyPipeline(TinyBundle("v2"))
    client.post("/admin/reload")
    other = client.post("/search", json={"query": "裙", "index_version": "v1"}).json()
    assert (other["version_changed"], other["index_version"]) == (True, "v2")


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["query"]),
        ({"negative": "红"}, ["query"]),
        ({"query": "裙", "image_weight": 1}, ["image_weight"]),
        ({"item_id": 1, "query_weight": 1, "negative_weight": 1}, ["query_weight"]),
        ({"query": "裙", "query_weight": 0}, ["query_weight"]),
        ({"query": "裙", "query_weight": 10.1}, ["query_weight"]),
        ({"query": "裙", "query_weight": "1"}, ["query_weight"]),
        ({"query": "裙", "offset": -1}, ["offset"]),
        ({"query": "裙", "offset": 9991, "top_k": 10}, ["offset"]),
        ({"query": "裙", "exclude": [1] * 257}, ["exclude"]),
        ({"query": "裙", "exclude": [1.5]}, ["exclude", 0, "int"]),
        ({"item_id": True}, ["item_id", "int"]),
        ({"item_id": "1" * 257}, ["item_id", "int"]),
        ({"query": "裙", "index_version": 1}, ["index_version"]),
        ({"query": "裙", "image_url": "http://a/"}, ["image_url"]),
    ],
)
def test_an_invalid_request_is_refused(
    client: TestClient, body: dict[str, object], loc: list[str | int]
) -> None:
    response = client.post("/search", json=body)
    problem = problem_of(response)
    assert (response.status_code, problem["code"]) == (422, "invalid_request")
    assert problem["errors"][0]["loc"] == ["body", *loc]  # type: ignore[index]


def test_a_negation_is_interpreted_and_reported(client: TestClient, source: TinySource) -> None:
    body = {"query": "不要红色和碎花的裙子", "query_weight": 2, "negative": "长袖"}
    response = client.post("/search", json=body).json()
    assert response["interpreted"] == {"positive": "裙子", "negative": "红色、碎花"}
    weight = -2 * REFUSED_WEIGHT
    assert source.pipeline.queries_received[0].parts == (
        TextPart("裙子", 2),
        TextPart("红色", weight),
        TextPart("碎花", weight),
        TextPart("长袖", -0.5),
    )


def test_the_interpretation_of_negations_can_be_switched_off(
    client: TestClient, source: TinySource
) -> None:
    body = {"query": "不要红色的裙子", "interpret": False}
    assert "interpreted" not in client.post("/search", json=body).json()
    assert source.pipeline.queries_received[0].parts == (TextPart("不要红色的裙子"),)


@pytest.mark.parametrize("item_id", [50, -1, 999])
def test_an_unknown_item_does_not_affect_other_requests(
    client: TestClient, item_id: object
) -> None:
    with ThreadPoolExecutor(2) as threads:
        bad = threads.submit(client.post, "/search", json={"item_id": item_id})
        good = threads.submit(client.post, "/search", json={"query": "裙"})
    assert (bad.result().status_code, problem_of(bad.result())["code"]) == (404, "unknown_item")
    assert good.result().status_code == 200


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_image_can_be_the_body(client: TestClient, source: TinySource, form: str) -> None:
    headers = {"Content-Type": f"image/{form.lower()}"}
    data = image_bytes(2, form=form)
    response = client.post("/search/image?top_k=2&offset=1", content=data, headers=headers)
    assert response.json()["item_ids"] == [1, 2]
    assert isinstance(source.pipeline.queries_received[0].parts[0], VectorPart)


@pytest.mark.parametrize(
    ("query", "content_type", "content", "status", "code"),
    [
        ("", "application/json", IMAGE, 415, "unsupported_media_type"),
        ("", "text/plain", IMAGE, 415, "unsupported_media_type"),
        ("", "image/png", b"", 422, "bad_image"),
        ("", "image/png", IMAGE[:200], 422, "bad_image"),
        ("", "image/png", b"GIF89a" + bytes(99), 422, "bad_image"),
        ("", "image/png", bytes(16 * 2**20 + 1), 413, "body_too_large"),
        ("?top_k=0", "image/png", IMAGE, 422, "invalid_request"),
        ("?topk=1", "image/png", IMAGE, 422, "invalid_request"),
        ("?offset=9999", "image/png", IMAGE, 422, "invalid_request"),
    ],
)
def test_a_bad_image_request_is_refused(
    client: TestClient, query: str, content_type: str, content: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": content_type}
    response = client.post(f"/search/image{query}", content=content, headers=headers)
    assert (response.status_code, problem_of(response)["code"]) == (status, code)


@pytest.mark.parametrize("image", ["", "!", BASE64[:-1], "ａ" * 8, BASE64[:400]])
def test_base64_that_is_not_an_image_is_refused(client: TestClient, image: str) -> None:
    response = client.post("/search", json={"image": image})
    assert (response.status_code, problem_of(response)["code"]) == (422, "bad_image")


def test_both_alphabets_of_base64_are_accepted(client: TestClient) -> None:
    data = base64.urlsafe_b64encode(IMAGE).decode()
    assert client.post("/search", json={"image": data}).status_code == 200


def test_the_first_image_loads_the_image_tower(source: TinySource) -> None:
    source.pipeline.tower = threading.Event()
    with connected(source, timeout_ms=300) as client:
        no_image = {"image": "bm8="}  # starts the decoder, but does not load the tower
        patient = {"X-Request-Timeout-Ms": "20000"}
        assert client.post("/search", json=no_image, headers=patient).status_code == 422
        assert client.get("/readyz").json()["images"] == "absent"
        response = client.post("/search", json={"image": BASE64})
        assert (response.status_code, problem_of(response)["code"]) == (503, "not_ready")
        assert client.get("/readyz").json()["images"] == "loading"
        assert client.post("/search", json={"query": "裙"}).status_code == 200
        source.pipeline.tower.set()
        assert client.post("/search", json={"image": BASE64}, headers=patient).status_code == 200
        assert client.get("/readyz").json()["images"] == "ready"
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        client.post("/admin/reload")  # the next version loads a tower that is in use
        assert client.get("/readyz").json()["images"] == "ready"


def test_a_first_image_that_takes_too_long_is_not_ready_rather_than_late(
    client: TestClient,
) -> None:
    hurried = {"X-Request-Timeout-Ms": "30"}  # less than the start of a decoder
    response = client.post("/search", json={"image": BASE64}, headers=hurried)
    assert (response.status_code, problem_of(response)["code"]) == (503, "not_ready")
    assert int(response.headers["retry-after"]) >= 1


def test_an_invalid_image_does_not_load_the_image_tower(client: TestClient) -> None:
    headers = {"Content-Type": "image/png"}
    assert client.post("/search/image", content=b"no", headers=headers).status_code == 422
    assert client.get("/readyz").json()["images"] == "absent"


def test_texts_are_served_when_the_image_tower_fails_to_load(source: TinySource) -> None:
    source.pipeline.tower_error = BadModel("no image tower in it")
    with connected(source, timeout_ms=20_000) as client:
        for _ in range(2):
            response = client.post("/search", json={"image": BASE64})
            assert (response.status_code, problem_of(response)["code"]) == (503, "unavailable")
        assert client.get("/readyz").json()["images"] == "unavailable"
        assert client.post("/search", json={"query": "裙"}).status_code == 200


def test_images_can_be_off_or_loaded_at_the_start(source: TinySource) -> None:
    with connected(source, image_queries="off") as client:
        response = client.post("/search", json={"image": BASE64})
        assert problem_of(response)["errors"][0]["type"] == "images_off"  # type: ignore[index]
        assert client.get("/info").json()["accepts"] == ["text", "item", "vector"]
        assert client.post("/search", json={"item_id": 3}).status_code == 200
    with connected(source, image_queries="on") as client:
        assert client.get("/readyz").json()["images"] == "ready"


@pytest.mark.parametrize(("items", "images"), [("images", "absent"), ("texts", "ready")])
def test_an_index_of_texts_loads_the_image_tower_at_the_start(
    source: TinySource, items: Literal["images", "texts"], images: str
) -> None:
    source.pipeline.bundle.items = items
    with connected(source, image_queries="lazy") as client:
        assert client.get("/readyz").json()["images"] == "absent"
    with connected(source) as client:
        assert client.get("/readyz").json()["images"] == images
        assert client.get("/info").json()["items"] == items


def test_texts_are_checked_before_an_image_is_decoded(
    client: TestClient, source: TinySource
) -> None:
    response = client.post("/search", json={"query": "裙" * 513, "image": BASE64})
    assert problem_of(response)["code"] == QueryTooLong.code
    assert source.pipeline.seen == []


RULE = BodyRules(Settings()).find("POST", "/search")


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (b'{"image":"' + b"A" * 11_000_000 + b'"}', True),
        (b'{"query":"a", "image" : "' + b"A" * 11_000_000 + b'","top_k":3}', True),
        (b'{"query":"image","image":"' + b"A" * 100_000 + b'"}', True),
        (b'{"image":"' + b"A" * RULE.total + b'"}', False),
        (b'{"image":"' + b"A" * 100_000, False),
        (b'{"image":"' + b"\\u0041" * 100_000 + b'"}', False),
        (b'{"image":"A","x":' + b"[" * 10_000_000, False),
        (b"[" * 10_000_000, False),
        (b'{"image":[' + b'"a",' * 1_000_000 + b'"a"]}', False),
        (b'{"image":"A",' * 800_000, False),
        (b'{"query":"' + b"A" * 100_000 + b'","image":"' + b"A" * 100_000 + b'"}', False),
        (b'"' * 11_000_000, False),
    ],
)
def test_a_large_body_must_be_an_image_and_little_else(body: bytes, accepted: bool) -> None:
    assert RULE.accepts(body) is accepted


@pytest.mark.parametrize("body", [b"[" * 10_000_000, b'{"image":"A","x":' + b"[" * 10_000_000])
def test_ten_megabytes_without_an_image_are_refused(client: TestClient, body: bytes) -> None:
    response = client.post("/search", content=body, headers=JSON)
    assert (response.status_code, problem_of(response)["code"]) == (413, "body_too_large")


def test_an_image_of_the_largest_size_reaches_the_decoder(client: TestClient) -> None:
    image = base64.b64encode(bytes(8 * 2**20)).decode()
    response = client.post("/search", json={"image": image})
    assert (response.status_code, problem_of(response)["code"]) == (422, "bad_image")


def test_the_number_of_large_bodies_at_once_is_limited(client: TestClient) -> None:
    middleware = client.app.middleware_stack  # type: ignore[attr-defined]
    while not hasattr(middleware, "_large_bodies"):
        middleware = middleware.app
    middleware._large_bodies = LARGE_BODIES
    body = b'{"image":"' + b"A" * 2_000_000 + b'"}'
    response = client.post("/search", content=body, headers=JSON)
    assert (response.status_code, problem_of(response)["code"]) == (503, "overloaded")
    small = client.post("/search", json={"image": BASE64})
    assert small.status_code == 200
