"""API keys and their scopes: which calls are public, and which need a key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from tusou_service.http.app import create_app
from tusou_service.http.auth import ApiKeys
from tusou_service.settings import Settings

from tests.tusou_service.tiny import TinySource, connected

KEYS = (b"the-first-key-of-two", b"the-second-key-of-two")

# A new call must be added to one of these: the scopes of which a key needs one.
PUBLIC = {"/", "/docs", "/healthz", "/readyz", "/static"}
GUARDED = {
    ("POST", "/search"): {"search"},
    ("POST", "/search/batch"): {"search"},
    ("POST", "/search/image"): {"search"},
    ("POST", "/v1/embeddings"): {"search"},
    ("GET", "/v1/models"): {"search"},
    ("GET", "/v1/models/{model_id}"): {"search"},
    ("GET", "/items"): {"search"},
    ("GET", "/items/{item_id}"): {"search"},
    ("GET", "/items/{item_id}/image"): {"search"},
    ("GET", "/info"): {"search"},
    ("GET", "/metrics"): {"metrics"},
    ("GET", "/openapi.json"): {"search", "admin", "metrics"},
    ("POST", "/admin/reload"): {"admin"},
    ("PUT", "/items/{item_id}"): {"admin"},
    ("PATCH", "/items/{item_id}"): {"admin"},
    ("DELETE", "/items/{item_id}"): {"admin"},
    ("POST", "/items/batch"): {"admin"},
    ("POST", "/items/delete"): {"admin"},
}
SCOPES = ("search", "admin", "metrics")


@pytest.fixture
def guarded(source: TinySource, tmp_path: Path) -> Iterator[TestClient]:
    file = tmp_path / "keys"
    every = b"".join(b"key-with-scope-%s %s\n" % (name, name) for name in map(str.encode, SCOPES))
    file.write_bytes(b"# two, for rotation\n\n" + b" search, admin metrics\n".join((*KEYS, every)))
    with connected(source, ApiKeys.read(file)) as client:
        yield client


def test_every_route_is_public_or_guarded(source: TinySource) -> None:
    app = create_app(lambda: pytest.fail("not entered"), Settings())
    paths = {context.path.replace(":path", "") for context in iter_route_contexts(app.routes)}
    assert paths == PUBLIC | {path for _, path in GUARDED}


@pytest.mark.parametrize(("method", "path"), sorted(GUARDED))
def test_a_guarded_call_needs_a_key(guarded: TestClient, method: str, path: str) -> None:
    path = path.replace("{item_id}", "7").replace("{model_id}", "tiny")
    wrong = [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {KEYS[0].decode()}"},
        {"X-API-Key": KEYS[0].decode()[:-1]},
        {"X-API-Key": "钥匙".encode()},
        {"X-API-Key": "k" * 9000},
    ]
    for headers in wrong:
        response = guarded.request(method, path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"
    assert guarded.request(method, f"{path}?key={KEYS[0].decode()}").status_code == 401
    for key in KEYS:
        for headers in ({"Authorization": b"bearer " + key}, {"X-API-Key": key}):
            assert guarded.request(method, path, headers=headers).status_code in {200, 409, 415}


def test_head_needs_the_key_of_get(guarded: TestClient) -> None:
    for path in (path for method, path in GUARDED if method == "GET"):
        assert guarded.head(path).status_code == 401


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("method", "path"), sorted(GUARDED))
def test_a_guarded_call_needs_a_scope(
    guarded: TestClient, method: str, path: str, scope: str
) -> None:
    accepted = GUARDED[method, path]
    headers = {"X-API-Key": f"key-with-scope-{scope}"}
    response = guarded.request(
        method, path.replace("{item_id}", "7").replace("{model_id}", "tiny"), headers=headers
    )
    if scope in accepted:
        assert response.status_code in {200, 409, 415}
        return
    (needed,) = accepted
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert response.json()["errors"][0]["detail"] == f"Needs the scope {needed}."
    challenge = f'Bearer error="insufficient_scope", scope="{needed}"'
    assert response.headers["www-authenticate"] == challenge


@pytest.mark.parametrize(
    "path", ["/nowhere", "//admin/reload", "/admin/reload/", "/metrics/", "/search/../metrics"]
)
def test_an_unknown_path_needs_a_key_too(guarded: TestClient, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert guarded.request(method, f"http://testserver{path}").status_code in {401, 403}


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/readyz", "/static/app.js"])
def test_a_public_path_needs_no_key(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200
