"""The FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, TypedDict

from fastapi import FastAPI

from tusou import __version__
from tusou_service.engine.engine import SearchEngine
from tusou_service.http import errors
from tusou_service.http.auth import ApiKeys
from tusou_service.http.middleware import RequestMiddleware
from tusou_service.http.openapi import complete_openapi
from tusou_service.http.routes import changes, embeddings, health, items, page, search

if TYPE_CHECKING:
    from tusou_service.experiment.ab_test import Experiment
    from tusou_service.observability.tracing import SpanTracer
    from tusou_service.settings import Settings

EngineFactory = Callable[[], AbstractAsyncContextManager[SearchEngine]]


class AppState(TypedDict):
    """The state that the lifespan yields, and that each request carries."""

    engine: SearchEngine  # in a request: the engine of its arm
    experiment: "Experiment | None"
    on_reload: Callable[[], None] | None  # called after a successful POST /admin/reload


def create_app(
    make_engine: EngineFactory,
    settings: "Settings",
    *,
    keys: ApiKeys | None = None,
    tracer: "SpanTracer | None" = None,
    experiment: "Experiment | None" = None,
    on_reload: Callable[[], None] | None = None,
) -> FastAPI:
    """Build the application around an engine."""

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
    for module in (search, embeddings, items, changes, health, page):
        app.include_router(module.router)
    if settings.docs:
        app.include_router(page.docs_router)
    app.mount("/static", page.static)
    app.add_middleware(RequestMiddleware, settings=settings, keys=keys, tracer=tracer)
    errors.add_error_handlers(app)
    complete_openapi(app)
    return app
