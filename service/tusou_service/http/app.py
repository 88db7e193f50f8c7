"""The application as a function of its engine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

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
from tusou_service.observability.stages import Tracer

EngineFactory = Callable[[], AbstractAsyncContextManager[SearchEngine]]


def create_app(
    make_engine: EngineFactory,
    limits: RequestLimits,
    *,
    keys: ApiKeys | None = None,
    docs: bool = True,
    tracer: Tracer | None = None,
    experiment: ExperimentArms | None = None,
    on_reload: Callable[[], None] | None = None,
) -> FastAPI:
    """Build an app around an engine; tests pass a small one, `server` the real one."""

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
        # FastAPI's own pages load scripts from elsewhere; ours are in `page`.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # Its own telemetry records messages of errors, which may hold what was asked.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    for module in (search, embeddings, items, health, page):
        app.include_router(module.router)
    if docs:
        app.include_router(page.docs_router())
    app.mount("/static", page.static)
    app.add_middleware(RequestMiddleware, limits=limits, keys=keys, tracer=tracer)
    errors.add_error_handlers(app)
    _describe_by_hand(app)
    return app


def _describe_by_hand(app: FastAPI) -> None:
    """Add to OpenAPI the models that FastAPI does not see: bodies and problems."""
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
