"""The OpenAPI document, with the bodies, headers and keys that FastAPI does not detect."""

from functools import cache
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from tusou_service.http.auth import accepted_scopes
from tusou_service.http.body_limits import MAX_TIMEOUT_MS
from tusou_service.http.change_models import (
    ChangesRequest,
    DeleteRequest,
    ItemRequest,
    PatchRequest,
)
from tusou_service.http.request_models import BatchRequest, EmbeddingRequest, SearchRequest
from tusou_service.http.schemas import Problem

_MODELS = (
    SearchRequest,
    BatchRequest,
    EmbeddingRequest,
    ItemRequest,
    PatchRequest,
    ChangesRequest,
    DeleteRequest,
    Problem,
)
_KEY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
# Headers that the middleware reads, of every call with a body.
_HEADERS: tuple[tuple[str, dict[str, object], str, object], ...] = (
    (
        "X-Request-Timeout-Ms",
        {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS},
        "How many milliseconds the client waits; the server's own limit if left out.",
        5000,
    ),
    (
        "X-Request-Id",
        {"type": "string", "maxLength": 64},
        "Repeated in the response and in the log: letters, digits, '.', '_' and '-'.",
        "job-7.12",
    ),
    (
        "X-User-Key",
        {"type": "string"},
        "With two bundles: a user or session that always gets the same one.",
        "5f3a9c",
    ),
)


def complete_openapi(app: FastAPI) -> None:
    """Make `app.openapi` return the complete document."""
    generate = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        document = generate()
        template = "#/components/schemas/{model}"
        _, models = models_json_schema(
            [(model, "validation") for model in _MODELS], ref_template=template
        )
        document["components"]["schemas"].update(models["$defs"])
        document["components"]["securitySchemes"] = _KEY_SCHEMES
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(operation, path, method.upper())
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], path: str, method: str) -> None:
    scopes = sorted(accepted_scopes(path, method))
    # Without keys, no call needs one; the scopes of schemes other than OAuth's are informative.
    operation["security"] = [{}, *({scheme: scopes} for scheme in _KEY_SCHEMES)] if scopes else []
    if "requestBody" in operation:
        known = {parameter["name"] for parameter in operation.get("parameters", ())}
        operation.setdefault("parameters", []).extend(
            {
                "name": name,
                "in": "header",
                "required": False,
                "schema": schema,
                "description": description,
                "example": example,
            }
            for name, schema, description, example in _HEADERS
            if name not in known
        )
