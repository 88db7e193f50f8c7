"""Random bodies: never a 5xx response, never an error over 2 KiB."""

import json
from collections.abc import Iterator
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reliability.hostile_requests import MORE_REQUESTS, PUBLISHED_REQUESTS
from tests.tusou_service.http.test_attributes import SCHEMA, TABLE
from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, connected
from tusou.attributes.filters import Operator

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


NAMES = st.sampled_from([*SCHEMA, "$and", "$or", "$not", *get_args(Operator)]) | st.text(max_size=8)
FILTERS = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("2024-02-29"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def with_attributes() -> Iterator[TestClient]:
    bundle = TinyBundle("v1")
    bundle.attributes = TABLE
    with connected(TinySource(TinyPipeline(bundle))) as client:
        yield client


@FEW
@given(selected=FILTERS, fields=st.lists(NAMES, max_size=3), distinct=NAMES)
def test_any_filter(
    with_attributes: TestClient, selected: object, fields: list[str], distinct: str
) -> None:
    options = {"filter": selected, "fields": fields, "facets": fields, "distinct": distinct}
    check(with_attributes, json.dumps({"query": "裙", **options}).encode())
    parameters = {"filter": json.dumps(selected), "limit": 3}
    listed = with_attributes.get("/items", params=parameters)
    body = json.dumps({"query": "裙", "filter": selected})
    headers = {"Content-Type": "application/json"}
    searched = with_attributes.post("/search", content=body, headers=headers)
    assert listed.status_code in {200, 422}
    assert searched.status_code == listed.status_code  # of one opinion about the filter
    assert len(listed.content) <= 2048 or listed.status_code == 200
