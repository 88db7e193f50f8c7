"""Checks every request before it reaches a route, and answers every error."""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tusou.core.errors import ErrorDetail, InvalidRequest, NotReady, Overloaded, TusouError
from tusou_service.http.auth import PROBES, ApiKeys, accepted_scopes
from tusou_service.http.body_limits import (
    LARGE_BODIES,
    LARGE_BODY_BYTES,
    MAX_BODY_CHUNKS,
    MAX_HEADERS,
    MAX_TIMEOUT_MS,
    MAX_URI_BYTES,
    BodyRule,
    BodyRules,
)
from tusou_service.http.cors import CorsPolicy
from tusou_service.http.errors import (
    BadHttp,
    BodyTooLarge,
    Forbidden,
    HeadersTooLarge,
    Internal,
    RequestTimeout,
    Unauthorized,
    UnsupportedMediaType,
    UriTooLong,
)
from tusou_service.http.pending_bodies import PendingBodies, PendingBody
from tusou_service.http.rate_limit import RateLimiter
from tusou_service.http.request_log import CLIENT_DISCONNECTED, ClientDisconnected, RequestContext
from tusou_service.observability.stages import RECORDER

if TYPE_CHECKING:
    from tusou_service.observability.tracing import SpanTracer
    from tusou_service.settings import Settings

# A large body may arrive in chunks as small as this.
_MIN_CHUNK_BYTES = 1024
_LIST_PATH = "/items"  # the only call without a body that may take as long as a query


class RequestMiddleware:
    """Pure ASGI middleware, which sees a client disconnect; Starlette's base class does not.

    Refuses requests that are too large, too slow, unauthorised or for another host. Passes a body
    on only when it is complete. Cancels a search whose client disconnects. Answers a bug with a
    constant 500.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: "Settings",
        keys: ApiKeys | None,
        tracer: "SpanTracer | None" = None,
    ) -> None:
        self._app, self._settings, self._keys, self._tracer = app, settings, keys, tracer
        self._rate_limiter = (
            RateLimiter(settings.rate_per_s, settings.rate_burst)
            if settings.rate_per_s > 0
            else None
        )
        self._rules = BodyRules(settings)
        self._cors = CorsPolicy(settings.cors_origins) if settings.cors_origins else None
        self._large_bodies = 0
        self._pending_bodies = PendingBodies(settings.max_pending_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer its error; no exception leaves this method."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._cors:
            send = self._cors.add_headers(scope, send)
        context = RequestContext(scope, send, self._tracer)
        try:
            await self._handle(context, scope, receive)
        except ClientDisconnected:
            context.status = CLIENT_DISCONNECTED
        except TusouError as error:
            await context.send_error(error)
        except asyncio.CancelledError:  # only the end of the process cancels this task
            await context.send_error(NotReady())
        except Exception:  # noqa: BLE001 - a bug in a route must not reach the client
            await context.send_error(Internal())
        finally:
            context.record()

    async def _handle(self, context: RequestContext, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        if scope["path"] in self._rules:
            context.path = scope["path"]
        self._check_size(scope)
        self._check_host(scope, headers)
        if self._cors and self._cors.is_preflight(scope, headers):  # it never has a key
            await self._cors.preflight_response()(scope, receive, context.send)
            return
        key = _api_key(headers)
        self._check_key(scope, key)
        if context.refusal and scope["path"] not in PROBES:
            raise context.refusal
        now = asyncio.get_running_loop().time()
        scope["state"]["deadline"] = now + self._timeout(headers)
        rule = self._rules.find(scope["method"], scope["path"])
        if rule or scope["path"] == _LIST_PATH:
            self._limit_rate(scope, key)
        if rule is None:
            if recorder := RECORDER.get():
                recorder.record("receive", context.started)
            await self._call_app(scope, receive, context.send)
            return
        _check_media_type(headers, rule)
        _check_declared_size(headers, rule)
        context.engine.admit(scope["state"]["deadline"], is_large=rule.is_large_call)
        with ExitStack() as stack:
            body = await self._read_body(receive, rule, stack)
            if recorder := RECORDER.get():
                recorder.record("receive", context.started)
            with context.cancel_on_disconnect(receive):
                await self._app(scope, _replay(body), context.send)

    def _limit_rate(self, scope: Scope, key: bytes) -> None:
        """Charge the client for one query; routes charge for more by the state's `charge`."""
        if self._rate_limiter:
            address = scope["client"][0] if scope["client"] else ""
            client = hashlib.sha256(key).hexdigest() if self._keys else address
            self._rate_limiter.admit(client)
            scope["state"]["charge"] = partial(self._rate_limiter.charge, client)

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD as GET: the server leaves the body out."""
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        get_scope = {**scope, "method": "GET"}
        try:
            await self._app(get_scope, receive, send)
        finally:
            scope["route"] = get_scope.get("route")  # for log and metrics

    def _check_size(self, scope: Scope) -> None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
            raise UriTooLong
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._settings.max_header_bytes or len(scope["headers"]) > MAX_HEADERS:
            raise HeadersTooLarge

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):
            raise BadHttp
        if not self._settings.hosts or scope["path"] in PROBES:
            return
        if _without_port("".join(hosts)) not in self._settings.hosts:
            raise BadHttp

    def _check_key(self, scope: Scope, key: bytes) -> None:
        accepted = accepted_scopes(scope["path"], scope["method"])
        if self._keys is None or not accepted:
            return
        scopes = self._keys.scopes_of(key)
        if not scopes:
            raise Unauthorized
        if accepted.isdisjoint(scopes):
            raise Forbidden(*accepted)

    def _timeout(self, headers: Headers) -> float:
        """Return the request's time limit in seconds."""
        value = headers.get("x-request-timeout-ms")
        if value is None:
            return self._settings.timeout_ms / 1000
        if not re.fullmatch("[0-9]{1,5}", value) or not 1 <= int(value) <= MAX_TIMEOUT_MS:
            loc = ("header", "X-Request-Timeout-Ms")
            message = f"Milliseconds, a whole number from 1 to {MAX_TIMEOUT_MS}."
            raise InvalidRequest(details=[ErrorDetail(loc, "out_of_range", message)])
        return int(value) / 1000

    @contextmanager
    def _large_body(self) -> Iterator[None]:
        """Limit the number, and so the memory, of large bodies that await their response."""
        if self._large_bodies >= LARGE_BODIES:
            raise Overloaded("Too many large bodies at once.")
        self._large_bodies += 1
        try:
            yield
        finally:
            self._large_bodies -= 1

    async def _read_body(self, receive: Receive, rule: BodyRule, stack: ExitStack) -> bytes:
        """Return the complete body. Counts what arrives, whatever Content-Length declares."""
        try:
            async with asyncio.timeout(self._settings.body_s) as timeout:
                with self._pending_bodies.receiving(timeout) as pending:
                    return await self._receive_body(receive, rule, pending, stack)
        except TimeoutError:
            raise RequestTimeout from None

    async def _receive_body(
        self, receive: Receive, rule: BodyRule, pending: PendingBody, stack: ExitStack
    ) -> bytes:
        body, chunks, is_large = bytearray(), 0, False
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            before = len(body)
            body += message.get("body", b"")
            chunks += 1
            if chunks > MAX_BODY_CHUNKS + len(body) // _MIN_CHUNK_BYTES:
                raise BodyTooLarge
            if before <= rule.limit < len(body) and not rule.may_exceed_limit(body):
                raise BodyTooLarge
            if len(body) > rule.total:
                raise BodyTooLarge
            if len(body) > LARGE_BODY_BYTES and not is_large:
                stack.enter_context(self._large_body())
                is_large = True
            if not message.get("more_body", False):
                if len(body) > rule.limit and not rule.accepts(body):
                    raise BodyTooLarge
                return bytes(body)
            self._pending_bodies.grow(pending, len(body) - before)


def _api_key(headers: Headers) -> bytes:
    """Return the key as bytes: compare_digest refuses text that is not ASCII."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return key.encode("latin-1")


def _check_media_type(headers: Headers, rule: BodyRule) -> None:
    types = headers.getlist("content-type")
    if len(types) != 1 or not rule.media_type.fullmatch(types[0].strip()):
        raise UnsupportedMediaType
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType


def _check_declared_size(headers: Headers, rule: BodyRule) -> None:
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > rule.total:
        raise BodyTooLarge


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]+\Z", "", host).lower()


def _replay(body: bytes) -> Receive:
    """Return a `receive` that yields the body once and then blocks, as for a silent client."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return receive
