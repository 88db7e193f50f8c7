"""Random bodies: never a 5xx response, never an error over 2 KiB."""

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reliability.hostile_requests import MORE_REQUESTS, PUBLISHED_REQUESTS
from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, connected

FEW = settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
SMALL = [
    hostile.body
    for hostile in (*PUBLISHED_REQUESTS, *MORE_REQUESTS)
    if 0 < len(hostile.body) < 10_000
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[TestClient]:
    with connected(TinySource(TinyPipeline(TinyBundle("v1")))) as client:
        yield client


def check(client: TestClient, body: bytes) -> None:
    for path in ("/search", "/search/batch"):
        response = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in {200, 400, 422}
        if response.status_code != 200:
            assert len(response.content) <= 2048
            assert json.loads(response.content)["status"] == response.status_code


@FEW
@given(body=st.binary(max_size=200))
def test_any_bytes(fuzzed: TestClient, body: bytes) -> None:
    check(fuzzed, body)


@FEW
@given(query=VALUES, top_k=VALUES, more=st.dictionaries(st.text(), VALUES, max_size=2))
def test_any_json(
    fuzzed: TestClient, query: object, top_k: object, more: dict[str, object]
) -> None:
    check(fuzzed, json.dumps({"query": query, "top_k": top_k, **more}).encode())
    check(fuzzed, json.dumps({"queries": [query], "top_k": 5, **more}).encode())


@FEW
@given(query=st.text(max_size=600))
def test_any_text(fuzzed: TestClient, query: str) -> None:
    body = json.dumps({"query": query}, ensure_ascii=False).encode(errors="surrogatepass")
    check(fuzzed, body)


@FEW
@given(data=st.data())
def test_hostile_bodies_with_a_few_bytes_changed(fuzzed: TestClient, data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(SMALL)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(fuzzed, bytes(body))
