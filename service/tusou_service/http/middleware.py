"""Everything a request must pass before a route sees it, and its trace in log and metrics."""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tusou.core.errors import ErrorDetail, InvalidRequest, NotReady, Overloaded, TusouError
from tusou_service.http.auth import ApiKeys
from tusou_service.http.body_limits import BodyRule, body_rules
from tusou_service.http.errors import (
    BadHttp,
    BodyTooLarge,
    HeadersTooLarge,
    Internal,
    RequestTimeout,
    Unauthorized,
    UnsupportedMediaType,
    UriTooLong,
)
from tusou_service.http.limits import (
    LARGE_BODY_BYTES,
    MAX_BODY_PIECES,
    MAX_HEADERS,
    MAX_TIMEOUT_MS,
    MAX_URI_BYTES,
    RequestLimits,
)
from tusou_service.http.rate_limit import RateLimiter
from tusou_service.http.request_log import CLIENT_DISCONNECTED, ClientDisconnected, RequestContext
from tusou_service.observability.stages import Tracer, mark

# Asked by address and without a key, by what keeps the process running.
PROBES = frozenset({"/healthz", "/readyz"})
# What needs no key: the probes, and the page, which holds no data of its own.
PUBLIC_PATHS = PROBES | {"/"}
PUBLIC_PREFIX = "/static/"

# A piece of a large body may be as small as a packet.
_PIECE_BYTES = 1024


class RequestMiddleware:
    """Pure ASGI middleware, so that a client's departure is seen.

    Refuses oversized, foreign, unauthorised and slow requests; hands a body on only when it is
    whole; cancels a search whose client has gone; turns a bug into a constant 500.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: RequestLimits,
        keys: ApiKeys | None,
        rate: RateLimiter | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._app, self._limits, self._keys, self._tracer = app, limits, keys, tracer
        self._rate = rate
        self._rules = body_rules(limits)
        self._large_bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it; nothing it raises goes further."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = RequestContext(scope, send, self._tracer)
        try:
            await self._pass(exchange, scope, receive)
        except ClientDisconnected:
            exchange.status = CLIENT_DISCONNECTED
        except TusouError as error:
            await exchange.refuse(error)
        except asyncio.CancelledError:  # only the end of the process does this
            await exchange.refuse(NotReady())
        except Exception:  # noqa: BLE001 - a bug in a route must not reach the client
            await exchange.refuse(Internal())
        finally:
            exchange.record()

    async def _pass(self, exchange: RequestContext, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        if scope["path"] in self._rules:
            exchange.path = scope["path"]
        self._check_size(scope)
        self._check_host(scope["path"], headers)
        key = _key_of(headers)
        self._check_key(scope["path"], key)
        now = asyncio.get_running_loop().time()
        scope["state"]["deadline"] = now + self._timeout(headers)
        rule = self._rules.get(scope["path"]) if scope["method"] == "POST" else None
        if rule is None:
            mark("front_door", exchange.started)
            await self._app(scope, receive, exchange.send)
            return
        if self._rate:
            address = scope["client"][0] if scope["client"] else ""
            self._rate.admit(hashlib.sha256(key).hexdigest() if self._keys else address)
        _check_media(headers, rule)
        _check_declared_size(headers, rule)
        exchange.engine.admit(scope["state"]["deadline"])
        with ExitStack() as held:
            body = await self._read(receive, rule, held)
            mark("front_door", exchange.started)
            with exchange.cancelled_when_gone(receive):
                await self._app(scope, _replay(body), exchange.send)

    def _check_size(self, scope: Scope) -> None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URI_BYTES:
            raise UriTooLong
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._limits.header_bytes or len(scope["headers"]) > MAX_HEADERS:
            raise HeadersTooLarge

    def _check_host(self, path: str, headers: Headers) -> None:
        if not self._limits.hosts or path in PROBES:
            return
        if _without_port(headers.get("host", "")) not in self._limits.hosts:
            raise BadHttp

    def _check_key(self, path: str, key: bytes) -> None:
        if self._keys is None or path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX):
            return
        if not self._keys.admit(key):
            raise Unauthorized

    def _timeout(self, headers: Headers) -> float:
        given = headers.get("x-request-timeout-ms")
        if given is None:
            return self._limits.timeout_seconds
        if not re.fullmatch("[0-9]{1,5}", given) or not 1 <= int(given) <= MAX_TIMEOUT_MS:
            where = ("header", "X-Request-Timeout-Ms")
            said = f"Milliseconds, a whole number from 1 to {MAX_TIMEOUT_MS}."
            raise InvalidRequest(details=[ErrorDetail(where, "out_of_range", said)])
        return int(given) / 1000

    @contextmanager
    def _large_body(self) -> Iterator[None]:
        """Bound the memory of large bodies, which is held until their request is answered."""
        if self._large_bodies >= self._limits.large_bodies:
            raise Overloaded("Too many large bodies at once.")
        self._large_bodies += 1
        try:
            yield
        finally:
            self._large_bodies -= 1

    async def _read(self, receive: Receive, rule: BodyRule, held: ExitStack) -> bytes:
        """Collect the body; what was declared is not trusted, what arrives is counted."""
        body, pieces, large = bytearray(), 0, False
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnected
                    before = len(body)
                    body += message.get("body", b"")
                    pieces += 1
                    if pieces > MAX_BODY_PIECES + len(body) // _PIECE_BYTES:
                        raise BodyTooLarge
                    if before <= rule.cap < len(body) and not rule.may_go_on(body):
                        raise BodyTooLarge
                    if len(body) > rule.total:
                        raise BodyTooLarge
                    if len(body) > LARGE_BODY_BYTES and not large:
                        held.enter_context(self._large_body())
                        large = True
                    if not message.get("more_body", False):
                        if not rule.holds(body):
                            raise BodyTooLarge
                        return bytes(body)
        except TimeoutError:
            raise RequestTimeout from None


def _key_of(headers: Headers) -> bytes:
    """Return the key as the bytes that came: text could not be compared, it may not be ASCII."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    return key.encode("latin-1")


def _check_media(headers: Headers, rule: BodyRule) -> None:
    said = headers.getlist("content-type")
    if len(said) != 1 or not rule.media.fullmatch(said[0].strip()):
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
    """Hand out a body that has been read; whoever asks again waits, as for a quiet client."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop()

    return receive
