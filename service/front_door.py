"""Everything a request must pass before a route sees it, and its trace in log and metrics."""

import asyncio
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine import Engine
from service.errors import (
    BadHttp,
    BodyTooLarge,
    Detail,
    HeadersTooLarge,
    Internal,
    Refusal,
    RequestTimeout,
    Unauthorized,
    UnsupportedMediaType,
    UriTooLong,
    problem,
)
from service.keys import ApiKeys
from service.limits import (
    MAX_BODY_PIECES,
    MAX_HEADERS,
    MAX_TIMEOUT_MS,
    MAX_URI_BYTES,
    RequestLimits,
)
from tusou.errors import InvalidRequest, TusouError

_log = logging.getLogger(__name__)

# What needs no key: probes, and the page, which holds no data of its own.
PUBLIC_PATHS = frozenset({"/", "/healthz", "/readyz"})
PUBLIC_PREFIX = "/static/"
_QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
CLIENT_LEFT = 499  # as nginx logs it; nobody is there to read an answer

_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFETY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
)


class FrontDoor:
    """Pure ASGI middleware, so that a client's departure is seen.

    Refuses oversized, foreign, unauthorised and slow requests; hands a body on only when it is
    whole; cancels a search whose client has gone; turns a bug into a constant 500.
    """

    def __init__(self, app: ASGIApp, limits: RequestLimits, keys: ApiKeys | None) -> None:
        self._app, self._limits, self._keys = app, limits, keys
        self._body_caps = {
            "/search": limits.body_bytes,
            "/search/batch": limits.batch_body_bytes,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it; nothing it raises goes further."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        try:
            await self._pass(exchange, scope, receive)
        except _ClientLeft:
            exchange.status = CLIENT_LEFT
        except (TusouError, Refusal) as error:
            await exchange.refuse(error)
        except Exception:  # noqa: BLE001 - a bug in a route must not reach the client
            _log.exception("request failed", extra={"fields": {"request_id": exchange.id}})
            await exchange.refuse(Internal())
        finally:
            exchange.record()

    async def _pass(self, exchange: "_Exchange", scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        if scope["path"] in self._body_caps:
            exchange.path = scope["path"]
        self._check_size(scope)
        self._check_host(headers)
        self._check_key(scope["path"], headers)
        now = asyncio.get_running_loop().time()
        scope["state"]["deadline"] = now + self._timeout(headers)
        cap = self._body_caps.get(scope["path"]) if scope["method"] == "POST" else None
        if cap is None:
            await self._app(scope, receive, exchange.send)
            return
        _check_media(headers)
        _check_declared_size(headers, cap)
        exchange.engine.admit(scope["state"]["deadline"])
        body = await self._read(receive, cap)
        with exchange.cancelled_when_gone(receive):
            await self._app(scope, _replay(body), exchange.send)

    def _check_size(self, scope: Scope) -> None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
            raise UriTooLong
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._limits.header_bytes or len(scope["headers"]) > MAX_HEADERS:
            raise HeadersTooLarge

    def _check_host(self, headers: Headers) -> None:
        if self._limits.hosts and _without_port(headers.get("host", "")) not in self._limits.hosts:
            raise BadHttp

    def _check_key(self, path: str, headers: Headers) -> None:
        if self._keys is None or path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX):
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        # Headers are bytes read as latin-1; compared as bytes, since text may not be ASCII.
        if not self._keys.admit(key.encode("latin-1")):
            raise Unauthorized

    def _timeout(self, headers: Headers) -> float:
        given = headers.get("x-request-timeout-ms")
        if given is None:
            return self._limits.timeout_seconds
        if not re.fullmatch("[0-9]{1,5}", given) or not 1 <= int(given) <= MAX_TIMEOUT_MS:
            where = ("header", "X-Request-Timeout-Ms")
            said = f"Milliseconds, a whole number from 1 to {MAX_TIMEOUT_MS}."
            raise Refusal(InvalidRequest(), [Detail(where, "out_of_range", said)])
        return int(given) / 1000

    async def _read(self, receive: Receive, cap: int) -> bytes:
        """Collect the body; what was declared is not trusted, what arrives is counted."""
        body, pieces = bytearray(), 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientLeft
                    body += message.get("body", b"")
                    pieces += 1
                    if len(body) > cap or pieces > MAX_BODY_PIECES:
                        raise BodyTooLarge
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise RequestTimeout from None


class _ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class _Exchange:
    """One request and its answer: identity, status, time."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._started = perf_counter()
        self.status = 0
        self.path = "unmatched"  # what log and metrics call a request that reaches no route
        self.complete = False
        self.engine: Engine = scope["state"]["engine"]
        self._scope, self._send = scope, send
        given = Headers(scope=scope).get("x-request-id", "")
        self.id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope["state"]["request_id"] = self.id

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            named = (b"x-request-id", self.id.encode())
            message["headers"] = [*message.get("headers", []), named, *_SAFETY_HEADERS]
        elif not message.get("more_body", False):
            self.complete = True
        await self._send(message)

    async def refuse(self, error: TusouError | Refusal) -> None:
        """Answer with a problem, unless an answer has begun."""
        if not self.status:
            await problem(error, self.id)(self._scope, _nothing, self.send)

    @contextmanager
    def cancelled_when_gone(self, receive: Receive) -> Iterator[None]:
        """Cancel the block, as `_ClientLeft`, when the client goes before its answer is sent."""
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
                raise _ClientLeft from None
            raise
        finally:
            watcher.cancel()

    def record(self) -> None:
        """Count and log the exchange."""
        seconds = perf_counter() - self._started
        route = self._route()
        self.engine.metrics.requests.labels(route, str(self.status)).inc()
        self.engine.metrics.request_seconds.labels(route).observe(seconds)
        level = logging.DEBUG if self._scope["path"] in _QUIET_PATHS else logging.INFO
        fields = {
            "request_id": self.id,
            "method": self._scope["method"],
            "route": route,
            "status": self.status,
            "took_ms": round(seconds * 1000, 3),
        }
        _log.log(level, "request", extra={"fields": fields})

    def _route(self) -> str:
        """Name the route by its template: paths come from outside and have no end."""
        matched = getattr(self._scope.get("route"), "path", None)
        return matched if isinstance(matched, str) else self.path


def _check_media(headers: Headers) -> None:
    said = headers.getlist("content-type")
    if len(said) != 1 or not _JSON.fullmatch(said[0].strip()):
        raise UnsupportedMediaType
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType


def _check_declared_size(headers: Headers, cap: int) -> None:
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > cap:
        raise BodyTooLarge


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]+\Z", "", host).lower()


def _replay(body: bytes) -> Receive:
    """Hand out a body that has been read; whoever asks again waits, as for a quiet client."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop()

    return receive


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
