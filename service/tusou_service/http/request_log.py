"""Request id, response headers, log line and metrics of one request."""

import asyncio
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from tusou.core.errors import InvalidRequest, TusouError
from tusou_service.engine.engine import SearchEngine
from tusou_service.http.encoder_header import with_encoder
from tusou_service.http.errors import Internal, problem_response, problem_type

if TYPE_CHECKING:
    from tusou_service.experiment.ab_test import Experiment
    from tusou_service.observability.tracing import SpanTracer

_log = logging.getLogger(__name__)

OPENAI_PREFIX = "/v1/"
UNMATCHED = "unmatched"
CLIENT_DISCONNECTED = 499  # nginx's status for it; no response is sent
_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# `blob:` is for images that the user uploads, and for those fetched with an API key.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'"
)
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _POLICY),
)


class ClientDisconnected(Exception):
    """The client closed the connection before the response was complete."""


class RequestContext:
    """One request: its id, engine, trace, and the response's status.

    Chooses the engine of an experiment's arm and puts it into `scope["state"]`.
    """

    def __init__(self, scope: Scope, send: Send, tracer: "SpanTracer | None" = None) -> None:
        self.started = perf_counter()
        self.status = 0  # until a response begins
        self.path = UNMATCHED  # the route in log and metrics of a request that reaches no route
        self._is_complete = False
        headers = Headers(scope=scope)
        state, self._scope, self._send = scope["state"], scope, send
        experiment: Experiment | None = state["experiment"]
        engines: tuple[SearchEngine, ...] = (
            experiment.engines_for(headers) if experiment else (state["engine"],)
        )
        self.engine = engines[0]
        self.refusal: InvalidRequest | None = None  # of headers that no engine can follow
        try:
            self.engine = with_encoder(headers, engines)
        except InvalidRequest as error:
            self.refusal = error
        state["engine"] = self.engine
        self._arm = self.engine.arm if experiment else None
        client_id = headers.get("x-request-id", "")
        self.id = client_id if _REQUEST_ID.fullmatch(client_id) else uuid.uuid4().hex
        state["request_id"] = self.id
        is_quiet = scope["path"] in _QUIET_PATHS
        self._trace = tracer.begin(headers, self.started) if tracer and not is_quiet else None

    async def send(self, message: Message) -> None:
        """Send a message of the response, with the headers common to all responses."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            request_id = (b"x-request-id", self.id.encode())
            arm = [(b"x-arm", self._arm.encode())] if self._arm else []
            if self.engine.query_encoder == "student":
                arm.append((b"x-query-encoder", b"student"))
            # The client opens its next connection to another server, before this port closes.
            close = [(b"connection", b"close")] if self.engine.draining else []
            headers = message.get("headers", [])
            headers = [field for field in headers if field not in close]
            message["headers"] = [*headers, request_id, *arm, *close, *_SECURITY_HEADERS]
        elif not message.get("more_body", False):
            self._is_complete = True
        await self._send(message)

    async def send_error(self, error: TusouError) -> None:
        """Send a problem response, unless a response has begun; log a bug's traceback."""
        if problem_type(error)[0] == Internal.code:
            _log.exception("request failed", extra={"fields": {"request_id": self.id}})
        if not self.status:
            is_openai = self._scope["path"].startswith(OPENAI_PREFIX)
            response = problem_response(error, self.id, message=is_openai)
            await response(self._scope, _receive_nothing, self.send)

    @contextmanager
    def cancel_on_disconnect(self, receive: Receive) -> Iterator[None]:
        """Cancel the block and raise ClientDisconnected if the client leaves before its answer."""
        task = asyncio.current_task()
        disconnected = False

        async def watch() -> None:
            nonlocal disconnected
            while (await receive())["type"] != "http.disconnect":
                pass
            # The server sends "disconnect" after a complete response, too.
            if task and not self._is_complete:
                disconnected = True
                task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if disconnected and task and not task.uncancel():
                raise ClientDisconnected from None
            raise
        finally:
            watcher.cancel()

    def record(self) -> None:
        """Write the log line, the metrics and the trace of the finished request."""
        seconds = perf_counter() - self.started
        # The route's template: raw paths would make metric labels unbounded.
        route: str = getattr(self._scope.get("route"), "path_format", self.path)
        metrics, status = self.engine.metrics, str(self.status)
        metrics.requests.labels(route, status).inc()
        metrics.request_seconds.labels(route).observe(seconds)
        level = logging.DEBUG if self._scope["path"] in _QUIET_PATHS else logging.INFO
        fields = {
            "request_id": self.id,
            "method": self._scope["method"],
            "route": route,
            "status": self.status,
            "took_ms": round(seconds * 1000, 3),
        }
        if self._arm:
            fields["arm"] = self._arm
            if self.path != UNMATCHED:
                metrics.arm_requests.labels(self._arm, status).inc()
                metrics.arm_seconds.labels(self._arm).observe(seconds)
        if self._trace:
            self._trace.end(
                method=self._scope["method"],
                route=route,
                status=self.status,
                request_id=self.id,
            )
            fields["trace_id"] = self._trace.id
        _log.log(level, "request", extra={"fields": fields})


async def _receive_nothing() -> Message:
    return {"type": "http.disconnect"}
