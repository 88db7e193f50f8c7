"""One request and its answer: identity, status, time, and a client who may leave."""

import asyncio
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from tusou.core.errors import TusouError
from tusou_service.engine.engine import ExperimentArms, SearchEngine
from tusou_service.http.errors import Internal, problem_response, problem_type
from tusou_service.observability.stages import Tracer

_log = logging.getLogger(__name__)

OPENAI_PREFIX = "/v1/"
UNMATCHED = "unmatched"
CLIENT_DISCONNECTED = 499  # as nginx logs it; nobody is there to read an answer
_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# `blob:` shows an image that its user has just given, and one fetched with a key.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'"
)
_SAFETY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", _POLICY),
)


class ClientDisconnected(Exception):
    """Nobody waits for the answer any more."""


class RequestContext:
    """One request and its answer: identity, status, time."""

    def __init__(self, scope: Scope, send: Send, tracer: Tracer | None = None) -> None:
        self.started = perf_counter()
        self.status = 0
        self.path = UNMATCHED  # what log and metrics call a request that reaches no route
        self.complete = False
        headers = Headers(scope=scope)
        state, self._scope, self._send = scope["state"], scope, send
        experiment: ExperimentArms | None = state["experiment"]
        if experiment:
            state["engine"] = experiment.engine_for(headers)
        self.engine: SearchEngine = state["engine"]
        self._arm = self.engine.arm if experiment else None
        given = headers.get("x-request-id", "")
        self.id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state["request_id"] = self.id
        quiet = scope["path"] in _QUIET_PATHS
        self._trace = tracer.begin(headers, self.started) if tracer and not quiet else None

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            named = (b"x-request-id", self.id.encode())
            arm = [(b"x-arm", self._arm.encode())] if self._arm else []
            message["headers"] = [*message.get("headers", []), named, *arm, *_SAFETY_HEADERS]
        elif not message.get("more_body", False):
            self.complete = True
        await self._send(message)

    async def refuse(self, error: TusouError) -> None:
        """Answer with a problem, unless an answer has begun; a bug goes to the log."""
        if problem_type(error)[0] == Internal.code:
            _log.exception("request failed", extra={"fields": {"request_id": self.id}})
        if not self.status:
            openai = self._scope["path"].startswith(OPENAI_PREFIX)
            answer = problem_response(error, self.id, message=openai)
            await answer(self._scope, _nothing, self.send)

    @contextmanager
    def cancelled_when_gone(self, receive: Receive) -> Iterator[None]:
        """Cancel the block and raise ClientDisconnected if the client leaves before its answer."""
        block = asyncio.current_task()
        gone = False

        async def watch() -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            # The server says "disconnect" after a complete answer, too.
            if block and not self.complete:
                gone = True
                block.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if gone and block and not block.uncancel():
                raise ClientDisconnected from None
            raise
        finally:
            watcher.cancel()

    def record(self) -> None:
        """Count and log the exchange."""
        seconds = perf_counter() - self.started
        route = self._route()
        self.engine.traffic.observe(route, self.status, seconds)
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
                self.engine.traffic.observe_arm(self._arm, self.status, seconds)
        if self._trace:
            self._trace.end(
                method=self._scope["method"],
                route=route,
                status=self.status,
                request_id=self.id,
            )
            fields["trace_id"] = self._trace.id
        _log.log(level, "request", extra={"fields": fields})

    def _route(self) -> str:
        """Name the route by its template: paths come from outside and have no end."""
        matched = getattr(self._scope.get("route"), "path_format", None)
        return matched if isinstance(matched, str) else self.path


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
