"""The calls take filters and other options about attributes, and return what they ask for."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from drawing import image_bytes
from fastapi.testclient import TestClient

from tests.tusou_service.http.test_middleware import problem_of
from tests.tusou_service.tiny import POOL, TinyBundle, TinyPipeline, TinySource, connected
from tusou.attributes.filters import AllOf, AnyOf, Condition
from tusou.attributes.schema import Attributes, AttributeSchema
from tusou.attributes.table import AttributeTable
from tusou.core.hits import Hits
from tusou.retrieval.query import Query

SCHEMA: AttributeSchema = {
    "title": "string",
    "price": "number",
    "stock": "integer",
    "new": "boolean",
    "tags": "strings",
    "product_id": "string",
    "上架": "date",
}
ROWS: list[Attributes] = [
    {
        "title": f"连衣裙 {number}",
        "price": number + 0.5,
        "new": number % 2 == 0,
        "tags": ["夏季", "新款"],
        "product_id": str(number // 3),
        "上架": "2024-02-29",
    }
    for number in range(POOL - 1)
]
TABLE = AttributeTable.from_rows(SCHEMA, [*ROWS, {}])
FILTER = {"price": {"$lte": 20}, "$or": [{"new": True}, {"tags": {"$in": ["夏季"]}}]}
PARSED = AllOf(
    (
        Condition("price", "$lte", 20),
        AnyOf((Condition("new", "$eq", value=True), Condition("tags", "$in", ("夏季",)))),
    )
)
OPTIONS: dict[str, Any] = {
    "filter": FILTER,
    "fields": ["title", "price", "title"],
    "facets": ["new"],
    "distinct": "product_id",
    "collapse": "near_duplicates",
}
IMAGE = image_bytes(1)


class Answering(TinyPipeline):
    """Returns attributes and counts as they are asked for."""

    def _hits(self, query: Query) -> Hits:
        hits = super()._hits(query)
        assert isinstance(hits, Hits)
        keys = list(map(int, hits.item_ids))
        return Hits(
            hits.item_ids,
            hits.scores,
            index_version=hits.index_version,
            attributes=tuple(TABLE.rows(keys, query.fields)) if query.fields else (),
            others=(2,) * len(keys) if query.distinct else (),
            facets={name: TABLE.facet(name) for name in query.facets},
            matching_items=20 if query.filter else None,
        )


@pytest.fixture
def source() -> TinySource:
    bundle = TinyBundle("v1")
    bundle.attributes = TABLE
    return TinySource(Answering(bundle))


@pytest.fixture
def client(source: TinySource) -> Iterator[TestClient]:
    with connected(source, timeout_ms=20_000) as client:
        yield client


def post_image(client: TestClient, parameters: dict[str, Any]) -> Any:
    headers = {"Content-Type": "image/jpeg"}
    return client.post("/search/image", params=parameters, content=IMAGE, headers=headers)


def check_query(query: Query) -> None:
    assert query.filter == PARSED
    assert (query.fields, query.facets) == (("title", "price"), ("new",))
    assert (query.distinct, query.collapse) == ("product_id", True)


RESULT: dict[str, Any] = {
    "item_ids": [0, 1],
    "scores": [1.0, 0.984375],
    "truncated": False,
    "attributes": [{"title": "连衣裙 0", "price": 0.5}, {"title": "连衣裙 1", "price": 1.5}],
    "others": [2, 2],
}
COUNTS: dict[str, Any] = {
    "facets": {"new": [{"value": True, "count": 25}, {"value": False, "count": 24}]},
    "matching_items": 20,
    "index_version": "v1",
}


def test_a_search_returns_what_it_asks_for(client: TestClient, source: TinySource) -> None:
    body = client.post("/search", json={"query": "裙", "top_k": 2, **OPTIONS}).json()
    assert body.pop("took_ms")
    assert body == RESULT | COUNTS
    check_query(*source.pipeline.queries_received)


def test_an_image_search_has_them_in_the_query_string(
    client: TestClient, source: TinySource
) -> None:
    parameters = {**OPTIONS, "filter": json.dumps(FILTER), "top_k": 2}
    body = post_image(client, parameters).json()
    assert body.pop("took_ms")
    assert body == RESULT | COUNTS
    check_query(*source.pipeline.queries_received)


def test_a_batch_has_one_filter_and_one_count(client: TestClient, source: TinySource) -> None:
    body = {"queries": ["裙", "不要红色的裙子"], "top_k": 2, **OPTIONS}
    response = client.post("/search/batch", json=body).json()
    assert response.pop("took_ms")
    first, second = response.pop("results")
    assert second.pop("interpreted")
    assert (first, second) == (RESULT, RESULT)
    assert response == COUNTS
    one, other = source.pipeline.queries_received
    check_query(one)
    check_query(other)
    assert one.filter is other.filter


def test_nothing_is_returned_unasked(client: TestClient, source: TinySource) -> None:
    body = client.post("/search", json={"query": "裙", "top_k": 1}).json()
    assert set(body) == {"item_ids", "scores", "truncated", "index_version", "took_ms"}
    batch = client.post("/search/batch", json={"queries": ["裙"], "top_k": 1}).json()
    assert set(batch) == {"results", "index_version", "took_ms"}
    assert set(batch["results"][0]) == {"item_ids", "scores", "truncated"}


def test_no_hits_have_empty_lists(client: TestClient) -> None:
    body = {"query": "裙", "offset": POOL, **OPTIONS}
    response = client.post("/search", json=body).json()
    assert (response["item_ids"], response["attributes"], response["others"]) == ([], [], [])


LONG = "很长的名字" * 60


@pytest.mark.parametrize(
    ("options", "loc", "kind", "words"),
    [
        ({"filter": {"colour": "红"}}, ["filter"], "unknown_attribute", ["“colour”", "“上架”"]),
        ({"filter": {"price": "20"}}, ["filter"], "wrong_type", ["“price”", "number"]),
        ({"filter": {"new": {"$lt": True}}}, ["filter"], "wrong_operator", ["“new”"]),
        ({"filter": {"上架": "昨天"}}, ["filter"], "wrong_type", ["“上架”", "date"]),
        ({"filter": {"price": {"$near": 2}}}, ["filter"], "unknown_operator", ["“price”"]),
        ({"filter": {"$or": {"price": 2}}}, ["filter", "$or"], "list_type", []),
        ({"filter": []}, ["filter"], "dict_type", []),
        ({"filter": {"\u202e<b>\n": 1}}, ["filter"], "unknown_attribute", ["“?<b>?”"]),
        ({"filter": {"a" * 65: 1}}, ["filter"], "unknown_attribute", [f"“{'a' * 64}”"]),
        ({"filter": {"price": {"$lt": 10**400}}}, ["filter"], "value_type", ["“price”"]),
        ({"fields": ["title", "colour"]}, ["fields"], "unknown_attribute", ["“colour”"]),
        ({"facets": ["colour"]}, ["facets"], "unknown_attribute", ["“colour”"]),
        ({"distinct": "colour"}, ["distinct"], "unknown_attribute", ["“colour”"]),
        ({"collapse": "duplicates"}, ["collapse"], "literal_error", []),
        ({"fields": ["title"] * 17}, ["fields"], "too_long", []),
        ({"facets": ["new"] * 9}, ["facets"], "too_long", []),
        ({"distinct": "a" * 65}, ["distinct"], "string_too_long", []),
    ],
)
def test_a_wrong_option_is_named_by_every_call(
    client: TestClient,
    source: TinySource,
    options: dict[str, Any],
    loc: list[str],
    kind: str,
    words: list[str],
) -> None:
    parameters = dict(options)
    if "filter" in options:
        parameters["filter"] = json.dumps(options["filter"])
    for place, response in (
        ("body", client.post("/search", json={"query": "裙", **options})),
        ("body", client.post("/search/batch", json={"queries": ["裙"], **options})),
        ("query", post_image(client, parameters)),
    ):
        problem = problem_of(response)
        assert (problem["status"], problem["code"]) == (422, "invalid_request")
        (error,) = problem["errors"]  # type: ignore[misc]
        assert (error["loc"], error["type"]) == ([place, *loc], kind)
        for word in words:
            assert word in error["detail"]
    assert source.pipeline.queries_received == []


def test_an_index_without_attributes_has_no_names(source: TinySource) -> None:
    source.pipeline.bundle.attributes = None
    with connected(source) as client:
        problem = problem_of(client.post("/search", json={"query": "裙", "filter": FILTER}))
        (error, *_) = problem["errors"]  # type: ignore[misc]
        assert error["detail"] == "No attribute is called “price”; there are: none."
        everything = client.post("/search", json={"query": "裙", "top_k": 2, "filter": {}})
        assert everything.json()["item_ids"] == [0, 1]
        info = client.get("/info").json()
        assert (info["attributes"], info["facets"]) == ({}, [])
        assert "attributes" not in client.get("/items/7").json()


def test_an_error_names_an_attribute_however_many_there_are(source: TinySource) -> None:
    names = [f"{LONG[:40]}{number}" for number in range(30)]
    schema: AttributeSchema = dict.fromkeys(names, "string")
    source.pipeline.bundle.attributes = AttributeTable.from_rows(schema, [{}] * POOL)
    with connected(source) as client:
        body = {"query": "裙", "filter": {LONG: 1}}
        response = client.post("/search", json=body)
    (error,) = problem_of(response)["errors"]  # type: ignore[misc]
    assert LONG[:64] in error["detail"]
    assert len(response.content) <= 2048


@pytest.mark.parametrize("text", ["{", "[" * 2500, "NaN", '"price"', "1", ""])
def test_a_filter_of_the_query_string_is_json(client: TestClient, text: str) -> None:
    for response in (
        post_image(client, {"filter": text}),
        client.get("/items", params={"filter": text}),
    ):
        problem = problem_of(response)
        (error,) = problem["errors"]  # type: ignore[misc]
        assert (problem["status"], error["loc"]) == (422, ["query", "filter"])


@pytest.mark.parametrize(
    "hostile",
    [
        {"$or": [{"price": number} for number in range(10_000)]},
        {f"a{number}": 1 for number in range(5_000)},
        {"price": {"$in": list(range(10_000))}},
        json.loads('{"$not":' * 60 + '{"price": 1}' + "}" * 60),
    ],
    ids=["conditions", "names", "values", "depth"],
)
def test_a_hostile_filter_is_refused(client: TestClient, hostile: dict[str, Any]) -> None:
    body = json.dumps({"queries": ["裙"], "filter": hostile})
    response = client.post(
        "/search/batch", content=body, headers={"Content-Type": "application/json"}
    )
    problem = problem_of(response)
    assert (problem["status"], problem["code"]) == (422, "invalid_request")


def test_attributes_count_as_results_of_a_batch(client: TestClient) -> None:
    body = {"queries": ["裙"] * 11, "top_k": 1000, "fields": ["title", "price"]}
    (error,) = problem_of(client.post("/search/batch", json=body))["errors"]  # type: ignore[misc]
    assert error["type"] == "too_many_results"
    assert "at most 10 queries" in error["detail"]
    assert client.post("/search/batch", json={**body, "queries": ["裙"] * 10}).status_code == 200


@pytest.mark.parametrize(("conditions", "allowed"), [(7, 5), (16, 2)])  # 1 and 3 queries each
def test_a_large_filter_counts_as_several_queries(
    source: TinySource, conditions: int, allowed: int
) -> None:
    selected = {"$or": [{"price": number} for number in range(conditions)]}
    body = {"query": "裙", "filter": selected}
    batch = {"queries": ["裙"], "filter": selected}
    parameters = {"filter": json.dumps(selected)}
    for path in ("/search", "/search/batch", "/items"):
        with connected(source, rate_per_s=0.001, rate_burst=5) as client:
            codes = [
                client.get(path, params=parameters).status_code
                if path == "/items"
                else client.post(path, json=body if path == "/search" else batch).status_code
                for _ in range(6)
            ]
        assert codes == [200] * allowed + [429] * (6 - allowed), path


def test_the_types_of_attributes_are_in_info(client: TestClient) -> None:
    info = client.get("/info").json()
    assert info["attributes"] == SCHEMA
    assert info["facets"] == ["title", "new", "tags", "product_id"]


def test_an_item_has_its_attributes(source: TinySource, client: TestClient) -> None:
    assert client.get("/items/7").json() == {
        "item_id": 7,
        "image": "/items/7/image",
        "attributes": ROWS[7],
    }


def test_the_options_are_documented(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for name in ("SearchRequest", "BatchRequest"):
        fields = document["components"]["schemas"][name]["properties"]
        assert fields["filter"]["examples"] == [{"category": "连衣裙", "price": {"$lte": 200}}]
        for option in OPTIONS:
            assert fields[option]["examples"], option
    listed = document["paths"]["/items"]["get"]["parameters"]
    names = {option["name"] for option in listed if option["in"] == "query"}
    assert names == {"filter", "fields", "limit", "after"}


def listed(client: TestClient, **parameters: Any) -> dict[str, Any]:
    response = client.get("/items", params=parameters)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_items_are_listed_in_pages(client: TestClient) -> None:
    first = listed(client)
    assert [item["item_id"] for item in first["items"]] == list(range(POOL))
    assert first["items"][7]["attributes"] == ROWS[7]
    assert first["items"][-1] == {"item_id": POOL - 1, "attributes": {}}
    assert (first["matching_items"], first["index_version"]) == (POOL, "v1")
    assert "next" not in first
    selected = {"filter": json.dumps({"price": {"$lt": 20}, "new": True}), "fields": "price"}
    pages, after = [], {}
    while True:
        page = listed(client, limit=4, **selected, **after)
        assert page["matching_items"] == 10
        pages.append([item["item_id"] for item in page["items"]])
        assert [item["attributes"] for item in page["items"]] == [
            {"price": number + 0.5} for number in pages[-1]
        ]
        if "next" not in page:
            break
        after = {"after": page["next"]}
    assert pages == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    assert listed(client, limit=2, filter="{}")["next"] == 1
    nothing = listed(client, filter=json.dumps({"price": {"$lt": 0}}))
    assert nothing == {"items": [], "matching_items": 0, "index_version": "v1"}


@pytest.mark.parametrize(
    ("parameters", "loc", "kind"),
    [
        ({"limit": 0}, ["query", "limit"], "greater_than_equal"),
        ({"limit": 1001}, ["query", "limit"], "less_than_equal"),
        ({"fields": "colour"}, ["query", "fields"], "unknown_attribute"),
        ({"filter": '{"colour": 1}'}, ["query", "filter"], "unknown_attribute"),
        ({"offset": 1}, ["query", "offset"], "extra_forbidden"),
    ],
)
def test_a_wrong_list_of_items_is_named(
    client: TestClient, parameters: dict[str, Any], loc: list[str], kind: str
) -> None:
    problem = problem_of(client.get("/items", params=parameters))
    assert (problem["status"], problem["code"]) == (422, "invalid_request")
    (error,) = problem["errors"]  # type: ignore[misc]
    assert (error["loc"], error["type"]) == (loc, kind)
