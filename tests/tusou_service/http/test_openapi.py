"""The OpenAPI document: bodies, errors, examples and the scopes of calls."""

from fastapi.testclient import TestClient
from tusou_service.http.errors import PROBLEM_TYPES

from tests.tusou_service.tiny import TinySource, connected


def test_openapi_describes_bodies_errors_and_all_codes(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    search = document["paths"]["/search"]["post"]
    assert {*search["responses"]} == {
        *(
            "200",
            "400",
            "401",
            "403",
            "404",
            "408",
            "413",
            "415",
            "422",
            "429",
            "431",
            "500",
            "503",
            "504",
        )
    }
    body = search["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/SearchRequest"}
    schemas = document["components"]["schemas"]
    assert schemas["SearchRequest"]["additionalProperties"] is False
    assert schemas["Problem"]["properties"]["code"]["enum"] == sorted(
        {error.code for error in PROBLEM_TYPES}
    )


def test_every_request_field_has_a_type_a_description_and_an_example(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    fields: list[dict[str, object]] = []
    for operations in document["paths"].values():
        for operation in operations.values():
            fields += operation.get("parameters", [])
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                model = schemas[content["application/json"]["schema"]["$ref"].split("/")[-1]]
                fields += model["properties"].values()
                assert model["examples"]
    assert len(fields) > 40
    for field in fields:
        schema = {**field, **field.get("schema", {})}  # type: ignore[dict-item]
        assert schema["description"], field
        assert {"type", "anyOf", "enum"} & schema.keys(), field
        assert "example" in schema or schema["examples"], field


def test_the_examples_of_bodies_are_accepted(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for path, name in (
        ("/search", "SearchRequest"),
        ("/search/batch", "BatchRequest"),
        ("/v1/embeddings", "EmbeddingRequest"),
    ):
        for example in schemas[name]["examples"]:
            assert client.post(path, json=example).status_code == 200


def test_openapi_says_which_calls_need_a_key_of_which_scope(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    paths = document["paths"]
    for path, method, scopes in (
        ("/search", "post", ["search"]),
        ("/metrics", "get", ["metrics"]),
        ("/admin/reload", "post", ["admin"]),
    ):
        assert {"bearer": scopes} in paths[path][method]["security"]
    assert paths["/healthz"]["get"]["security"] == []


def test_docs_can_be_switched_off(source: TinySource) -> None:
    with connected(source, docs=False) as client:
        assert client.get("/docs").status_code == 404
        assert client.get("/openapi.json").status_code == 404
