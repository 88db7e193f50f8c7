"""Cross-origin requests (CORS): which other sites' pages may read the answers."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Scope, Send

ANY_ORIGIN = "*"
# `*` covers the headers that client libraries add; by definition, it excludes Authorization.
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, If-Match, If-None-Match, X-API-Key, X-Arm, "
    "X-Query-Encoder, X-Request-Id, X-Request-Timeout-Ms, X-User-Key, *"
)
_EXPOSED_HEADERS = "ETag, Retry-After, X-Arm, X-Query-Encoder, X-Request-Id"
_PREFLIGHT_SECONDS = 600


class CorsPolicy:
    """The origins whose pages may call the service; API keys are required as for other clients."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins

    def is_preflight(self, scope: Scope, headers: Headers) -> bool:
        """Return whether a browser asks if a page of an allowed origin may send a request."""
        return (
            scope["method"] == "OPTIONS"
            and "access-control-request-method" in headers
            and self._allowed(headers) is not None
        )

    def preflight_response(self) -> Response:
        """Return the answer to a preflight, apart from the headers of every response."""
        headers = {
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        }
        return Response(status_code=204, headers=headers)

    def add_headers(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that adds the CORS headers for the request's origin to the response."""
        origin = self._allowed(Headers(scope=scope))
        fields = [] if ANY_ORIGIN in self._origins else [(b"vary", b"Origin")]
        if origin is not None:
            fields += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-expose-headers", _EXPOSED_HEADERS.encode()),
            ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *fields]
            await send(message)

        return send_with_headers

    def _allowed(self, headers: Headers) -> str | None:
        """Return the value of Access-Control-Allow-Origin; None if the origin is not allowed."""
        origin = headers.get("origin")
        if origin is None or self._origins.isdisjoint((ANY_ORIGIN, origin)):
            return None
        return ANY_ORIGIN if ANY_ORIGIN in self._origins else origin
