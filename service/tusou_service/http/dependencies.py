"""FastAPI dependencies of the routes: engine, deadline and body."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from tusou.core.errors import (
    DeadlineExceeded,
    EmptyQuery,
    InputError,
    InvalidJson,
    InvalidRequest,
    NoEncoder,
    NotReady,
    Overloaded,
    QueryTooLong,
    RateLimited,
    TusouError,
)
from tusou.images.formats import IMAGE_FORMATS
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.errors import (
    BodyTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
    error_details,
)
from tusou_service.observability.stages import RECORDER

Body = TypeVar("Body", bound=BaseModel)

# Listing the errors of a hostile body can cost more than finding them.
_MAX_LISTED_ERRORS = 64
# The errors of every call that carries queries.
QUERY_ERRORS: tuple[type[TusouError], ...] = (
    InvalidJson,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    EmptyQuery,
    QueryTooLong,
    NoEncoder,
    InvalidRequest,
    RateLimited,
    Overloaded,
    NotReady,
    DeadlineExceeded,
)


# Coroutines for speed: FastAPI calls plain functions in a thread pool.
async def get_engine(request: Request) -> SearchEngine:
    engine: SearchEngine = request.state.engine
    return engine


async def get_deadline(request: Request) -> float:
    """Return the time, on the event loop's clock, at which the client stops waiting."""
    deadline: float = request.state.deadline
    return deadline


def charge_queries(request: Request, count: int) -> None:
    """Charge the client's rate limit, if there is one, for the queries of a call beyond the first.

    The middleware has charged the first, before it read the body.
    """
    charge: Callable[[int], None] | None = getattr(request.state, "charge", None)
    if charge and count > 1:
        charge(count - 1)


def json_body(model: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """Return a dependency that parses the body strictly as this model.

    It raises InvalidJson for bad syntax, InvalidRequest for other faults.
    """

    async def read(request: Request) -> Body:
        started = perf_counter()
        try:
            body = model.model_validate_json(await request.body())
        except ValidationError as error:
            raise _to_input_error(error) from None
        if recorder := RECORDER.get():
            recorder.record("parse", started)
        return body

    return read


def _to_input_error(error: ValidationError) -> InputError:
    if error.error_count() > _MAX_LISTED_ERRORS:
        return InvalidRequest()
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    # A number of thousands of digits is valid JSON that no field accepts.
    if errors[0]["type"] == "json_invalid" and "number out of range" not in errors[0]["msg"]:
        return InvalidJson()
    return InvalidRequest(details=error_details(errors, "body"))


def json_request_body(model: type[Body]) -> dict[str, object]:
    """Return the description of that body for OpenAPI, which the dependency hides."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_IMAGE = {"schema": {"type": "string", "format": "binary"}}
IMAGE_REQUEST_BODY: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": dict.fromkeys((form.media_type for form in IMAGE_FORMATS), _IMAGE),
    }
}

EngineDep = Annotated[SearchEngine, Depends(get_engine)]
DeadlineDep = Annotated[float, Depends(get_deadline)]
