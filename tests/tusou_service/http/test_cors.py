"""Pages of other sites: preflights, and the headers of every response."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from tusou_service.http.auth import ApiKeys
from tusou_service.settings import Settings

from tests.tusou_service.tiny import TinySource, connected

SHOP, OTHER = "https://shop.example", "https://other.example"
KEY = "a-key-of-16-chars-or-more"


@pytest.fixture
def shop(source: TinySource, tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "keys").write_text(KEY)
    keys = ApiKeys.read(tmp_path / "keys")
    origins = "https://Shop.example/, http://localhost:3000"
    with connected(source, keys, cors_origins=origins) as client:
        yield client


def preflight(client: TestClient, origin: str, path: str = "/search", method: str = "POST"):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return client.options(path, headers=headers)


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:3000"])
def test_a_preflight_needs_no_key(shop: TestClient, origin: str) -> None:
    response = preflight(shop, origin)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE"
    allowed = response.headers["access-control-allow-headers"].split(", ")
    assert {"Authorization", "Content-Type", "X-API-Key", "X-Request-Timeout-Ms"} <= {*allowed}
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_pages_may_change_items_with_a_precondition(shop: TestClient, method: str) -> None:
    response = preflight(shop, SHOP, "/items/1001", method)
    assert response.status_code == 204
    assert method in response.headers["access-control-allow-methods"].split(", ")
    assert "If-Match" in response.headers["access-control-allow-headers"].split(", ")
    assert "ETag" in shop.get("/info", headers={"Origin": SHOP}).headers[
        "access-control-expose-headers"
    ].split(", ")
    refused = preflight(shop, OTHER, "/items/1001", method)
    assert "access-control-allow-origin" not in refused.headers


def test_a_call_needs_its_key_and_its_answer_can_be_read(shop: TestClient) -> None:
    for headers, status in (({}, 401), ({"X-API-Key": KEY}, 200)):
        body = {"query": "裙"}
        response = shop.post("/search", json=body, headers={"Origin": SHOP, **headers})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == SHOP
        assert response.headers["vary"] == "Origin"
        exposed = response.headers["access-control-expose-headers"].split(", ")
        assert {"Retry-After", "X-Request-Id"} <= {*exposed}
        assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        OTHER,
        "http://shop.example",
        "https://shop.example.evil.example",
        f"{SHOP}:8443",
        "null",
        "*",
    ],
)
def test_other_origins_get_no_permission(shop: TestClient, origin: str) -> None:
    response = preflight(shop, origin)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    answer = shop.post(
        "/search", json={"query": "裙"}, headers={"Origin": origin, "X-API-Key": KEY}
    )
    assert answer.status_code == 200
    for headers in (response.headers, answer.headers):
        assert "access-control-allow-origin" not in headers
        assert headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", [SHOP, "null"])
def test_any_origin(source: TinySource, origin: str) -> None:
    with connected(source, cors_origins="*") as client:
        assert preflight(client, origin).status_code == 204
        for path in ("/info", "/nowhere"):
            headers = client.get(path, headers={"Origin": origin}).headers
            assert headers["access-control-allow-origin"] == "*"
            assert "vary" not in headers


def test_without_the_setting_no_response_mentions_origins(client: TestClient) -> None:
    response = preflight(client, SHOP)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    headers = client.get("/info", headers={"Origin": SHOP}).headers
    assert not [name for name in headers if name.startswith("access-control") or name == "vary"]


@pytest.mark.parametrize("value", ["shop.example", "https://a.example/path", "ftp://a", "https://"])
def test_what_is_no_origin_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cors_origins=value)  # type: ignore[arg-type]


def test_options_says_which_methods_there_are(client: TestClient) -> None:
    for path, allow in (
        ("/search", "POST"),
        ("/info", "GET, HEAD"),
        ("/static/app.js", "GET, HEAD"),
    ):
        response = client.options(path)
        assert (response.status_code, response.headers["allow"]) == (405, allow)
