"""Error responses: the one table from errors to HTTP status, in the form of RFC 9457."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tusou.core import errors as domain
from tusou.core.errors import ErrorDetail, TusouError

PROBLEM_JSON = "application/problem+json"
MAX_PROBLEM_BYTES = 2048
_MAX_DETAILS = 16
_MAX_LOC_CHARS = 40
_MAX_DETAIL_CHARS = 200  # in ASCII, six bytes each: they fit MAX_PROBLEM_BYTES
_DEFAULT_RETRY_AFTER = 1.0  # seconds


class BadHttp(TusouError):
    """The request is not HTTP/1.1, or its host name is not served here."""

    code = "bad_http"


class Unauthorized(TusouError):
    """The API key is missing or unknown."""

    code = "unauthorized"


class Forbidden(TusouError):
    """The API key is known, and lacks the scope that the call needs."""

    code = "forbidden"

    def __init__(self, scope: str = "") -> None:
        details = [ErrorDetail(("header", "Authorization"), "scope", f"Needs the scope {scope}.")]
        super().__init__(details=details if scope else ())
        self.scope = scope


class NotFound(TusouError):
    """No resource has this path."""

    code = "not_found"


class MethodNotAllowed(TusouError):
    """The path exists, the method does not; `allow` lists the methods that do."""

    code = "method_not_allowed"

    def __init__(self, allow: str = "") -> None:
        super().__init__()
        self.allow = allow


class RequestTimeout(TusouError):
    """The body did not arrive in time."""

    code = "request_timeout"


class BodyTooLarge(TusouError):
    """The body exceeds its limit of bytes or of chunks."""

    code = "body_too_large"


class UriTooLong(TusouError):
    """The path and query string exceed their limit."""

    code = "uri_too_long"


class UnsupportedMediaType(TusouError):
    """The Content-Type or Content-Encoding is not accepted by this call."""

    code = "unsupported_media_type"


class HeadersTooLarge(TusouError):
    """The headers exceed their limit of bytes or of number."""

    code = "headers_too_large"


class LiveOff(TusouError):
    """Items cannot be changed while the service runs."""

    code = "live_off"


class Internal(TusouError):
    """A bug; the log has the traceback under the request id."""

    code = "internal"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """The response to one kind of error. Its texts are constant: a request is never echoed."""

    status: int
    title: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


_CLOSE = (("Connection", "close"),)

# Looked up along the class's ancestors: a new domain error gets its parent's entry.
PROBLEM_TYPES: dict[type[TusouError], ProblemType] = {
    BadHttp: ProblemType(
        400, "Bad HTTP request", "Send HTTP/1.1 with one Host, a name served here.", _CLOSE
    ),
    domain.InvalidJson: ProblemType(
        400, "Invalid JSON", "The body must be one JSON document in UTF-8 without a byte mark."
    ),
    Unauthorized: ProblemType(
        401,
        "API key required",
        "Send a known key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
        (("WWW-Authenticate", "Bearer"),),
    ),
    Forbidden: ProblemType(
        403, "Forbidden", "The API key has other scopes than this call needs; see errors."
    ),
    NotFound: ProblemType(404, "Not found", "Unknown path; GET /docs lists the calls."),
    domain.UnknownItem: ProblemType(404, "Unknown item", "The index holds no item of that id."),
    domain.NoImage: ProblemType(
        404,
        "No image",
        "The item is a text, or was indexed by its vector; see GET /items/{item_id}.",
    ),
    MethodNotAllowed: ProblemType(405, "Method not allowed", "Use a method named in Allow."),
    RequestTimeout: ProblemType(408, "Request timeout", "The body did not arrive in time.", _CLOSE),
    LiveOff: ProblemType(
        409, "Changes are off", "Start the service with TUSOU_LIVE=on to change items."
    ),
    domain.ArtifactError: ProblemType(
        409, "Unusable files", "The files on the server cannot be used; its log says why."
    ),
    domain.CorruptBundle: ProblemType(
        409, "Corrupt bundle", "The bundle is damaged; the previous version stays in use."
    ),
    domain.IncompatibleBundle: ProblemType(
        409,
        "Incompatible bundle",
        "The bundle was made for another model or format; the previous version stays in use.",
    ),
    domain.InsufficientMemory: ProblemType(
        409,
        "Insufficient memory",
        "The memory cannot hold the new version beside the current one, which stays in use. "
        "Restart the service to change versions.",
    ),
    domain.PreconditionFailed: ProblemType(
        412, "Precondition failed", "The item is not the one that If-Match names; get it again."
    ),
    BodyTooLarge: ProblemType(
        413, "Body too large", "Send a smaller body, or split the batch.", _CLOSE
    ),
    UriTooLong: ProblemType(414, "URI too long", "Shorten the path or query string.", _CLOSE),
    UnsupportedMediaType: ProblemType(
        415,
        "Unsupported media type",
        "Send application/json in UTF-8, or an image to /search/image; uncompressed.",
    ),
    domain.InputError: ProblemType(422, "Invalid input", "The request's data cannot be used."),
    domain.InvalidRequest: ProblemType(
        422, "Invalid request", "A value has the wrong type, range or name; see errors."
    ),
    domain.NotCalibrated: ProblemType(
        422,
        "Not calibrated",
        "The index gives no relevance for this kind of query; leave min_relevance out.",
    ),
    domain.EmptyQuery: ProblemType(
        422, "Empty query", "A query needs at least one visible character."
    ),
    domain.QueryTooLong: ProblemType(
        422, "Query too long", "A query has at most 512 characters and 2048 bytes of UTF-8."
    ),
    domain.NoEncoder: ProblemType(
        422,
        "No encoder",
        "This index holds vectors alone: search with an item or a vector, not a text or an image.",
    ),
    domain.BadImage: ProblemType(
        422,
        "Bad image",
        "Send a complete image of a known format, such as JPEG, of at most 16 MiB; see errors.",
    ),
    domain.RateLimited: ProblemType(
        429, "Too many requests", "Slow down and retry after the time given."
    ),
    HeadersTooLarge: ProblemType(
        431, "Headers too large", "Send fewer or shorter headers.", _CLOSE
    ),
    Internal: ProblemType(
        500, "Internal error", "The request failed; the log has details under its request id."
    ),
    domain.Unavailable: ProblemType(503, "Unavailable", "Retry after the time given."),
    domain.NotReady: ProblemType(503, "Not ready", "The service is loading, stopping or failing."),
    domain.OutOfMemory: ProblemType(
        503, "Out of memory", "The device is out of memory; retry after the time given."
    ),
    domain.IndexUnavailable: ProblemType(
        503, "Index unavailable", "The index's server does not answer; retry after the time given."
    ),
    domain.StoreUnreachable: ProblemType(
        503,
        "Store unreachable",
        "The store of the bundle does not answer; the previous version stays in use.",
    ),
    domain.Overloaded: ProblemType(503, "At capacity", "Retry after the time given."),
    domain.DeadlineExceeded: ProblemType(
        504, "Deadline exceeded", "The time limit passed; see X-Request-Timeout-Ms."
    ),
    domain.StorageFull: ProblemType(
        507, "Storage full", "The server's disk is full or failing; nothing was changed."
    ),
}


def problem_type(error: TusouError) -> tuple[str, ProblemType]:
    """Return the code and entry of an error; an error without an entry is a bug."""
    for cls in type(error).__mro__:
        if issubclass(cls, TusouError) and cls in PROBLEM_TYPES:
            return cls.code, PROBLEM_TYPES[cls]
    return Internal.code, PROBLEM_TYPES[Internal]


def problem_response(error: TusouError, request_id: str, *, message: bool = False) -> Response:
    """Return the response to an error: RFC 9457 in ASCII, at most MAX_PROBLEM_BYTES.

    `message` adds a member of that name: the text that OpenAI's clients show.
    """
    _, kind = problem_type(error)
    body = {**_problem_fields(error), "request_id": request_id}
    if message:
        texts = (detail.detail for detail in error.details if detail.detail)
        body["message"] = next(texts, kind.detail)
    headers = {**dict(kind.headers), "Cache-Control": "no-store"}
    if isinstance(error, MethodNotAllowed) and error.allow:
        headers["Allow"] = error.allow
    if isinstance(error, Forbidden) and error.scope:
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{error.scope}"'
    if kind.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        seconds = _DEFAULT_RETRY_AFTER if error.retry_after is None else error.retry_after
        body["retry_after_ms"] = math.ceil(seconds * 1000)
        headers["Retry-After"] = str(math.ceil(seconds))
    details = [_detail_fields(detail) for detail in error.details[:_MAX_DETAILS]]
    return Response(_encode(body, details), kind.status, headers, media_type=PROBLEM_JSON)


def query_problem(error: TusouError) -> dict[str, object]:
    """Return the problem of one query in the response to a batch."""
    details = [_detail_fields(detail) for detail in error.details]
    return {**_problem_fields(error), "errors": details or None}


def _problem_fields(error: TusouError) -> dict[str, object]:
    code, kind = problem_type(error)
    return {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "code": code,
    }


def _detail_fields(detail: ErrorDetail) -> dict[str, object]:
    loc = [part if isinstance(part, int) else part[:_MAX_LOC_CHARS] for part in detail.loc]
    text = {"detail": _shorten(detail.detail)} if detail.detail else {}
    return {"loc": loc, "type": detail.type, **text}


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_DETAIL_CHARS else f"{text[: _MAX_DETAIL_CHARS - 1]}…"


def _encode(body: dict[str, object], details: list[dict[str, object]]) -> bytes:
    """Return the body as JSON, with as many details as fit."""
    while True:
        content = json.dumps({**body, "errors": details} if details else body).encode()
        if len(content) <= MAX_PROBLEM_BYTES or not details:
            return content
        details = details[:-1]


def add_error_handlers(app: FastAPI) -> None:
    """Raise the framework's own errors as TusouError, which RequestMiddleware answers."""

    async def convert(_: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                allow = (error.headers or {}).get("Allow", "")
                # Every GET answers HEAD, too: see RequestMiddleware.
                raise MethodNotAllowed("GET, HEAD" if allow == "GET" else allow) from None
            if error.status_code == HTTPStatus.NOT_FOUND:
                raise NotFound from None
        if isinstance(error, RequestValidationError):
            raise domain.InvalidRequest(details=error_details(error.errors())) from None
        raise domain.InvalidRequest from None

    for kind in (HTTPException, RequestValidationError):
        app.add_exception_handler(kind, convert)


def error_details(errors: Iterable[Mapping[str, Any]], *prefix: str) -> list[ErrorDetail]:
    """Return pydantic's errors as details, without the input; `prefix` begins each `loc`."""
    return [ErrorDetail((*prefix, *error["loc"]), error["type"], error["msg"]) for error in errors]


def error_responses(*raised: type[TusouError]) -> dict[int | str, dict[str, object]]:
    """Return a route's `responses` for OpenAPI: its own errors and those of every call."""
    codes: dict[int, list[str]] = {}
    common: set[type[TusouError]] = {
        Unauthorized,
        Forbidden,
        domain.InvalidRequest,
        HeadersTooLarge,
        Internal,
    }
    for error in common.union(raised):
        codes.setdefault(PROBLEM_TYPES[error].status, []).append(error.code)
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": ", ".join(sorted(codes[status])), "content": {PROBLEM_JSON: schema}}
        for status in sorted(codes)
    }
