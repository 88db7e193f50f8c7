"""Every HTTP call: complete responses, metrics and HEAD."""

import time

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.tusou_service.tiny import PNG, TinyBundle, TinyPipeline, TinySource, connected, running
from tusou import __version__
from tusou.core.errors import CorruptBundle, IncompatibleBundle, InsufficientMemory, TusouError


def without_time(body: dict[str, object]) -> dict[str, object]:
    assert isinstance(body.pop("took_ms"), float)
    return body


def test_search(client: TestClient) -> None:
    response = client.post("/search", json={"query": "纯棉碎花吊带裙", "top_k": 3})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert without_time(response.json()) == {
        "item_ids": [0, 1, 2],
        "scores": [1.0, 0.984375, 0.96875],
        "index_version": "v1",
        "truncated": False,
    }


def test_search_returns_ten_items_and_at_most_all_items(client: TestClient) -> None:
    ten = client.post("/search", json={"query": "裙"}).json()
    all_items = client.post("/search", json={"query": "裙", "top_k": 1000}).json()
    assert (ten["item_ids"], all_items["item_ids"]) == ([*range(10)], [*range(50)])


def test_search_reports_a_truncated_query(client: TestClient) -> None:
    assert client.post("/search", json={"query": "裙" * 60}).json()["truncated"] is True


def test_search_tells_what_the_model_does_not_know_of_a_query(client: TestClient) -> None:
    queries = ["Собака бежит по снегу", "红裙 αβ", "nike 红裙"]
    results = client.post("/search/batch", json={"queries": queries}).json()["results"]
    assert [result.get("unknown_share") for result in results] == [1.0, 0.5, None]


def test_batch(client: TestClient) -> None:
    response = client.post("/search/batch", json={"queries": ["红裙", "裙" * 60], "top_k": 2})
    assert without_time(response.json()) == {
        "results": [
            {"item_ids": [0, 1], "scores": [1.0, 0.984375], "truncated": False},
            {"item_ids": [0, 1], "scores": [1.0, 0.984375], "truncated": True},
        ],
        "index_version": "v1",
    }


def test_a_request_of_256_queries_runs_in_batches_of_64(
    client: TestClient, source: TinySource
) -> None:
    queries = [str(n) for n in range(256)]
    results = client.post("/search/batch", json={"queries": queries}).json()["results"]
    assert (len(results), source.pipeline.texts_received) == (256, queries)
    assert [len(batch) for batch in source.pipeline.batches] == [64] * 4


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'],
)
def test_accepts_json_in_utf_8(client: TestClient, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    body = ' {"query": "裙"} '.encode()
    assert client.post("/search", content=body, headers=headers).status_code == 200


def test_health_and_info(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {
        "status": "ready",
        "index_version": "v1",
        "images": "absent",
    }
    assert client.get("/info").json() == {
        "tusou_version": __version__,
        "index_version": "v1",
        "item_count": 50,
        "precision": "fp32",
        "precision_measured": [],
        "backend": "torch",
        "model": "tiny",
        "models": [],
        "query_encoder": None,
        "id_type": "int",
        "items": "images",
        "accepts": ["text", "image", "item", "vector"],
        "sample_item_ids": [9, 7],
        "random_scores": {"text": 0.25, "image": 0.5, "item": 0.5},
        "relevance": None,
        "attributes": {},
        "facets": [],
        "manifest": {
            "prompts": [],
            "views": "none",
            "build": {"made_by": "hand"},
            "attributes": None,
            "attribute_source": None,
            "vector_source": None,
            "live_position": 0,
            "reused": [],
            "stages": {
                "hub": None,
                "softmax": None,
                "feedback": None,
                "rerank": None,
                "calibration": None,
            },
        },
    }


def test_a_loading_service_is_alive_but_not_ready(source: TinySource) -> None:
    source.error = CorruptBundle("never loads")
    with connected(source) as client:
        assert client.get("/healthz").status_code == 200
        for response in (
            client.get("/readyz"),
            client.get("/info"),
            client.post("/search", json={"query": "裙"}),
            client.get("/items/7/image"),
            client.post("/admin/reload"),
        ):
            assert (response.status_code, response.json()["code"]) == (503, "not_ready")
            assert response.headers["retry-after"] == "1"


def test_reload(client: TestClient, source: TinySource) -> None:
    unchanged = {"status": "unchanged", "index_version": "v1", "previous_version": "v1"}
    assert client.post("/admin/reload").json() == unchanged
    source.pipeline = TinyPipeline(TinyBundle("v2"), first_id=100)
    swapped = {"status": "swapped", "index_version": "v2", "previous_version": "v1"}
    assert client.post("/admin/reload").json() == swapped
    body = client.post("/search", json={"query": "裙", "top_k": 1}).json()
    assert (body["item_ids"], body["index_version"]) == ([100], "v2")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CorruptBundle, "corrupt_bundle"),
        (IncompatibleBundle, "incompatible_bundle"),
        (InsufficientMemory, "insufficient_memory"),
    ],
)
def test_a_reload_of_a_bad_bundle_is_a_409_and_changes_nothing(
    client: TestClient, source: TinySource, error: type[TusouError], code: str
) -> None:
    source.pipeline, source.error = TinyPipeline(TinyBundle("v2")), error("/a/path differs")
    response = client.post("/admin/reload")
    assert (response.status_code, response.json()["code"]) == (409, code)
    assert "/a/path" not in response.text
    assert client.get("/readyz").json()["index_version"] == "v1"


def test_an_item_image_and_its_etag(client: TestClient) -> None:
    first = client.get("/items/7/image")
    assert (first.status_code, first.content) == (200, PNG)
    assert first.headers["content-type"] == "image/png"
    again = client.get("/items/7/image", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_an_item_has_a_text_or_the_path_of_its_image(
    client: TestClient, source: TinySource
) -> None:
    assert client.get("/items/7").json() == {"item_id": 7, "image": "/items/7/image"}
    source.pipeline.bundle.items = "texts"
    assert client.get("/items/7").json() == {"item_id": 7, "text": "红色碎花裙"}
    response = client.get("/items/07")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_item")


def test_an_id_may_contain_slashes(client: TestClient) -> None:
    response = client.get("/items/a%2Fb%2F..%2Fc/image")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_item")
    metrics = client.get("/metrics").text
    assert 'tusou_requests_total{route="/items/{item_id}/image",status="404"} 1.0' in metrics


@pytest.mark.parametrize("item_id", ["8", "07", "7%00", "..%2f7", "7%2f", "%2e%2e%2f7", "７"])
def test_an_image_is_found_by_its_exact_id_only(client: TestClient, item_id: str) -> None:
    assert client.get(f"/items/{item_id}/image").status_code == 404


def test_metrics_count_by_route_and_status(client: TestClient) -> None:
    client.post("/search", json={"query": "裙"})
    client.post("/search", content=b"", headers={"Content-Type": "text/plain"})
    client.get("/a/path/of/the/clients/own")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'tusou_requests_total{route="/search",status="200"} 1.0',
        'tusou_requests_total{route="/search",status="415"} 1.0',
        'tusou_requests_total{route="unmatched",status="404"} 1.0',
        'tusou_request_seconds_count{route="/search"} 2.0',
        'tusou_batch_size_sum{arm="a"} 1.0',
        'tusou_stage_seconds_sum{arm="a",stage="encode"} 0.002',
        'tusou_index_info{arm="a",version="v1"} 1.0',
        'tusou_items{arm="a"} 50.0',
        'tusou_queue_depth{arm="a"} 0.0',
        "tusou_ready 1.0",
        "tusou_cancelled_total 0.0",
    ):
        assert line in lines


def test_metrics_of_the_process(client: TestClient) -> None:
    values = dict(
        line.split() for line in client.get("/metrics").text.splitlines() if line[:8] == "process_"
    )
    assert float(values["process_cpu_seconds_total"]) > 0
    assert float(values["process_resident_memory_bytes"]) > 10_000_000
    assert float(values["process_open_fds"]) <= float(values["process_max_fds"])
    assert abs(float(values["process_start_time_seconds"]) - time.time()) < 24 * 3600


def test_metrics_count_pages_and_static_files(client: TestClient) -> None:
    for path in ("/", "/docs", "/openapi.json", "/static/app.js", "/static/style.css"):
        assert client.get(path).status_code == 200
    assert client.get("/static/nowhere.js").status_code == 404
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'tusou_requests_total{route="/",status="200"} 1.0',
        'tusou_requests_total{route="/docs",status="200"} 1.0',
        'tusou_requests_total{route="/openapi.json",status="200"} 1.0',
        'tusou_requests_total{route="/static/{path}",status="200"} 2.0',
        'tusou_requests_total{route="/static/{path}",status="404"} 1.0',
    ):
        assert line in lines
    assert not any("unmatched" in line for line in lines)


GET_PATHS = (
    *("/", "/docs", "/openapi.json", "/static/app.js", "/healthz", "/readyz", "/info", "/metrics"),
    *("/items/7", "/items/7/image", "/v1/models", "/v1/models/tiny"),
)


@pytest.mark.parametrize("path", GET_PATHS)
def test_every_get_answers_head(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    varying = (
        {"x-request-id", "content-length"} if path in ("/metrics", "/info") else {"x-request-id"}
    )
    assert {*head.headers} == {*get.headers}
    for name in {*get.headers} - varying:
        assert head.headers[name] == get.headers[name]


async def test_a_connection_goes_on_after_head(source: TinySource) -> None:
    uncompressed = {"Accept-Encoding": "identity"}
    async with (
        running(source) as server,
        httpx.AsyncClient(base_url=server.url, headers=uncompressed) as client,
    ):
        for path in ("/info", "/items/7/image", "/static/app.js"):
            head, get = await client.head(path), await client.get(path)
            assert (head.status_code, head.content) == (200, b"")
            assert len(get.content) == int(get.headers["content-length"])
            assert "content-length" in head.headers


def test_head_is_counted_under_its_route(client: TestClient) -> None:
    assert client.head("/items/7/image").status_code == 200
    metrics = client.get("/metrics").text
    assert 'tusou_requests_total{route="/items/{item_id}/image",status="200"} 1.0' in metrics
