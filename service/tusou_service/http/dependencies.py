"""What the lifespan and the front door leave for the routes."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Annotated, TypedDict

from fastapi import Depends, Request

from tusou.core.errors import (
    DeadlineExceeded,
    EmptyQuery,
    InvalidJson,
    InvalidRequest,
    NotReady,
    Overloaded,
    QueryTooLong,
    RateLimited,
    TusouError,
)
from tusou_service.engine.engine import ExperimentArms, SearchEngine
from tusou_service.http.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from tusou_service.http.schemas import Body, parse
from tusou_service.observability.stages import record_stage

# What any call that carries queries may be refused with.
QUERY_REFUSALS: tuple[type[TusouError], ...] = (
    InvalidJson,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    EmptyQuery,
    QueryTooLong,
    InvalidRequest,
    RateLimited,
    Overloaded,
    NotReady,
    DeadlineExceeded,
)


class AppState(TypedDict):
    """What the lifespan yields."""

    engine: SearchEngine  # the one that answers this request, once the front door has chosen
    experiment: ExperimentArms | None
    on_reload: Callable[[], None] | None  # called after a successful POST /admin/reload


# These are coroutines for speed: FastAPI calls plain functions in a thread of its pool.
async def get_engine(request: Request) -> SearchEngine:
    """Hand out the engine the lifespan built."""
    engine: SearchEngine = request.state.engine
    return engine


async def get_experiment(request: Request) -> ExperimentArms | None:
    """Hand out what runs a second bundle, if one is served."""
    experiment: ExperimentArms | None = request.state.experiment
    return experiment


async def get_deadline(request: Request) -> float:
    """Hand out the moment, on the event loop's clock, when the client stops waiting."""
    deadline: float = request.state.deadline
    return deadline


def json_body(model: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """Return a dependency that reads the body as this model, straight from its bytes."""

    async def read(request: Request) -> Body:
        began = perf_counter()
        body = parse(model, await request.body())
        record_stage("parse", began)
        return body

    return read


def json_request_body(model: type[Body]) -> dict[str, object]:
    """Describe that body for OpenAPI, which cannot see it through the dependency."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_IMAGE = {"schema": {"type": "string", "format": "binary"}}
IMAGE_REQUEST_BODY: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {f"image/{kind}": _IMAGE for kind in ("jpeg", "png", "webp")},
    }
}

EngineDep = Annotated[SearchEngine, Depends(get_engine)]
ExperimentDep = Annotated[ExperimentArms | None, Depends(get_experiment)]
DeadlineDep = Annotated[float, Depends(get_deadline)]
