"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from tusou import __version__
from tusou_service.engine.engine import ExperimentArms, SearchEngine
from tusou_service.http import errors
from tusou_service.http.auth import ApiKeys
from tusou_service.http.body_limits import RequestLimits
from tusou_service.http.dependencies import AppState
from tusou_service.http.middleware import RequestMiddleware
from tusou_service.http.routes import embeddings, health, items, page, search
from tusou_service.http.schemas import BatchRequest, EmbeddingRequest, Problem, SearchRequest

if TYPE_CHECKING:
    from tusou_service.observability.tracing import SpanTracer

EngineFactory = Callable[[], AbstractAsyncContextManager[SearchEngine]]


def create_app(
    make_engine: EngineFactory,
    limits: RequestLimits,
    *,
    keys: ApiKeys | None = None,
    docs: bool = True,
    tracer: "SpanTracer | None" = None,
    experiment: ExperimentArms | None = None,
    on_reload: Callable[[], None] | None = None,
) -> FastAPI:
    """Build the application around an engine.

    `on_reload` is called after each successful POST /admin/reload.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        async with make_engine() as engine:
            yield {"engine": engine, "experiment": experiment, "on_reload": on_reload}
        if tracer:
            await asyncio.to_thread(tracer.close)

    app = FastAPI(
        title="Tusou",
        version=__version__,
        lifespan=lifespan,
        # FastAPI's own pages load scripts from other hosts; routes.page replaces them.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # FastAPI's telemetry records error messages, which may contain queries.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    for module in (search, embeddings, items, health, page):
        app.include_router(module.router)
    if docs:
        app.include_router(page.docs_router())
    app.mount("/static", page.static)
    app.add_middleware(RequestMiddleware, limits=limits, keys=keys, tracer=tracer)
    errors.add_error_handlers(app)
    _add_schemas(app)
    return app


def _add_schemas(app: FastAPI) -> None:
    """Add to OpenAPI the models that FastAPI does not find: bodies and problems."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        _, models = models_json_schema(
            [
                (model, "validation")
                for model in (SearchRequest, BatchRequest, EmbeddingRequest, Problem)
            ],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"].update(models["$defs"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]
