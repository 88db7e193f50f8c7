"""Requests that the middleware accepts, and the exact error of every other."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from benchmarks.reliability.hostile_requests import (
    MORE_REQUESTS,
    PUBLISHED_REQUESTS,
    HostileRequest,
)
from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, connected
from tusou.core.errors import MissingDependency

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}
# Exception texts, memory addresses and paths on the server.
LEAKS = re.compile(r"0x[0-9a-f]{6,}|Traceback|\.py|/work|/home|/usr", re.ASCII)


def _no_constants(name: str) -> NoReturn:
    raise ValueError(name)


def problem_of(response: Response) -> dict[str, object]:
    """Check that a response is a valid problem, and return its body."""
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) <= 2048
    assert response.content.isascii()
    assert not LEAKS.search(response.text)
    body: dict[str, object] = json.loads(response.content, parse_constant=_no_constants)
    assert body.keys() - {"errors", "retry_after_ms", "message"} == MEMBERS
    assert body["status"] == response.status_code
    assert body["type"] == f"/problems/{body['code']}"
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def post(client: TestClient, hostile: HostileRequest) -> Response:
    headers = {"Content-Type": hostile.content_type, "Content-Encoding": hostile.content_encoding}
    present = {name: value for name, value in headers.items() if value}
    response: Response = client.post(hostile.path, content=hostile.body, headers=present)
    return response


@pytest.mark.parametrize(
    "hostile", [*PUBLISHED_REQUESTS, *MORE_REQUESTS], ids=lambda hostile: hostile.name
)
def test_hostile_bodies(client: TestClient, hostile: HostileRequest) -> None:
    response = post(client, hostile)
    if hostile.status == 200:
        assert response.status_code == 200
    else:
        assert (hostile.status, hostile.code) == (
            response.status_code,
            problem_of(response)["code"],
        )


def test_the_published_comparison_has_35_requests() -> None:
    assert len(PUBLISHED_REQUESTS) == 35


def test_the_last_value_of_a_duplicate_key_wins(client: TestClient, source: TinySource) -> None:
    client.post(
        "/search",
        content=b'{"query":"a","query":"b"}',
        headers={"content-type": "application/json"},
    )
    assert source.pipeline.texts_received == ["b"]


def test_control_characters_in_a_query_become_spaces(
    client: TestClient, source: TinySource
) -> None:
    assert client.post("/search", json={"query": "\n红\0裙\t"}).status_code == 200
    assert source.pipeline.texts_received == ["红 裙"]


def test_an_error_names_the_fields_and_never_echoes_values(client: TestClient) -> None:
    secret = "secret-value"
    response = client.post("/search", json={"query": 5, "top_k": secret, "wrong": secret})
    assert problem_of(response)["errors"] == [
        {
            "loc": ["body", "query"],
            "type": "string_type",
            "detail": "Input should be a valid string",
        },
        {
            "loc": ["body", "top_k"],
            "type": "int_type",
            "detail": "Input should be a valid integer",
        },
        {
            "loc": ["body", "wrong"],
            "type": "extra_forbidden",
            "detail": "Extra inputs are not permitted",
        },
    ]
    assert secret not in response.text


def test_what_an_error_repeats_is_what_the_documents_say(client: TestClient) -> None:
    field = "name-of-a-field-" + "<script>裙" * 8
    (error,) = problem_of(client.post("/search", json={"query": "裙", field: "a value"}))["errors"]  # type: ignore[misc]
    assert error["loc"] == ["body", field[:40]]
    root = Path(__file__).parents[3]
    security = " ".join((root / "SECURITY.md").read_text("utf-8").split())
    assert "repeats a value of its input; it may name an unknown field, cut to 40" in security
    api = " ".join((root / "docs" / "api.md").read_text("utf-8").split())
    assert "It never repeats what was sent, except the names of unknown fields" in api


def test_an_error_lists_the_details_that_fit_and_cuts_names(client: TestClient) -> None:
    body = {f"{n:02}{'裙' * 90}": 1 for n in range(30)}
    errors = problem_of(client.post("/search", json=body))["errors"]
    assert isinstance(errors, list)
    assert 3 <= len(errors) <= 16
    assert errors[0]["loc"] == ["body", "00" + "裙" * 38]


def test_a_batch_error_lists_the_bad_queries(client: TestClient) -> None:
    response = client.post("/search/batch", json={"queries": ["a", " ", "b" * 513]})
    body = problem_of(response)
    assert (body["status"], body["code"]) == (422, "empty_query")
    assert body["errors"] == [
        {"loc": ["body", "queries", 1], "type": "empty_query"},
        {"loc": ["body", "queries", 2], "type": "query_too_long"},
    ]


@pytest.mark.parametrize("value", ["0", "30001", "-1", "1.5", "1e3", "٣", "", "9" * 99])
def test_a_time_limit_is_a_whole_number_of_milliseconds(client: TestClient, value: str) -> None:
    headers = {"X-Request-Timeout-Ms": value.encode()}
    response = client.post("/search", json={"query": "a"}, headers=headers)
    body = problem_of(response)
    assert (body["status"], body["code"]) == (422, "invalid_request")


def test_the_size_and_number_of_headers_are_limited(client: TestClient) -> None:
    large = client.get("/healthz", headers={"x-large": "a" * 17_000})
    many = client.get("/healthz", headers={f"x-{n}": "a" for n in range(101)})
    for response in (large, many):
        assert problem_of(response)["code"] == "headers_too_large"
        assert (response.status_code, response.headers["connection"]) == (431, "close")


def test_the_length_of_a_path_is_limited(client: TestClient) -> None:
    assert problem_of(client.get("/" + "a" * 9000))["code"] == "uri_too_long"


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/nowhere", 404, "not_found", None),
        ("GET", "/search/", 404, "not_found", None),
        ("GET", "/../etc/passwd", 404, "not_found", None),
        ("GET", "/static/../app.py", 404, "not_found", None),
        ("GET", "/static/%2e%2e/app.py", 404, "not_found", None),
        ("GET", "/search", 405, "method_not_allowed", "POST"),
        ("DELETE", "/info", 405, "method_not_allowed", "GET, HEAD"),
        ("HEAD", "/nowhere", 404, None, None),
        ("HEAD", "/search", 405, None, "POST"),
        ("GET", "/admin/reload", 405, "method_not_allowed", "POST"),
        ("PUT", "/static/app.js", 405, "method_not_allowed", "GET, HEAD"),
    ],
)
def test_wrong_paths_and_methods(
    client: TestClient, method: str, path: str, status: int, code: str | None, allow: str | None
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    if code:
        assert problem_of(response)["code"] == code
    else:
        assert response.content == b""
    assert response.headers.get("allow") == allow


def test_a_harmless_request_id_is_kept(client: TestClient) -> None:
    harmless = client.get("/healthz", headers={"X-Request-Id": "Job_7.a-b"})
    forged = client.get("/healthz", headers={"X-Request-Id": 'a"} {'})
    assert harmless.headers["x-request-id"] == "Job_7.a-b"
    assert re.fullmatch("[0-9a-f]{32}", forged.headers["x-request-id"])


def test_every_response_forbids_sniffing_and_framing(client: TestClient) -> None:
    for path in ("/", "/info", "/nowhere", "/static/app.js"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_bug_is_a_constant_500_and_a_traceback_in_the_log(
    source: TinySource, caplog: pytest.LogCaptureFixture
) -> None:
    source.pipeline.error = ZeroDivisionError("/srv/secret.py at 0x7f00deadbeef")
    with connected(source) as client:
        response = client.post("/search", json={"query": "a"})
        assert problem_of(response)["code"] == "internal"
        assert response.status_code == 500
        source.pipeline.error = None
        assert client.post("/search", json={"query": "a"}).status_code == 200
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "ZeroDivisionError" in (record.exc_text or "")
    assert record.__dict__["fields"] == {"request_id": response.headers["x-request-id"]}


def test_an_error_without_a_problem_type_is_a_bug(
    client: TestClient, source: TinySource, caplog: pytest.LogCaptureFixture
) -> None:
    source.pipeline, source.error = TinyPipeline(TinyBundle("v2")), MissingDependency("no faiss")
    response = client.post("/admin/reload")
    assert (response.status_code, problem_of(response)["code"]) == (500, "internal")
    assert [record.message for record in caplog.records if record.exc_info] == ["request failed"]


def test_other_hosts_are_refused_when_hosts_are_set(source: TinySource) -> None:
    with connected(source, hosts="search.example, testserver") as client:
        assert client.get("/info").status_code == 200
        assert client.get("/info", headers={"Host": "search.example:8000"}).status_code == 200
        refused = client.get("/info", headers={"Host": "evil.example"})
        assert (refused.status_code, problem_of(refused)["code"]) == (400, "bad_http")
        assert client.get("/readyz", headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_a_request_past_its_deadline_is_a_504(source: TinySource) -> None:
    source.pipeline.gate = threading.Event()
    with connected(source, timeout_ms=1) as client:
        threading.Timer(0.1, source.pipeline.gate.set).start()
        first = client.post("/search", json={"query": "a"})
        assert (first.status_code, problem_of(first)["code"]) == (504, "deadline_exceeded")


def test_an_overload_says_when_to_retry(source: TinySource) -> None:
    source.pipeline.gate = threading.Event()
    with connected(source, queue_size=4) as client, ThreadPoolExecutor(2) as others:
        for query, depth in (("runs", 0.0), ("waits", 1.0)):
            others.submit(client.post, "/search", json={"query": query})
            assert source.pipeline.started.wait(5)
            while f'tusou_queue_depth{{arm="a"}} {depth}' not in client.get("/metrics").text:
                pass
        response = client.post("/search/batch", json={"queries": ["a"] * 4})
        source.pipeline.gate.set()
        body = problem_of(response)
        assert (response.status_code, body["code"]) == (503, "overloaded")
        assert body["retry_after_ms"] == 50
        assert response.headers["retry-after"] == "1"
