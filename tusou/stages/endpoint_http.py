"""HTTP connections to an endpoint, each of which carries one request at a time."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from tusou.core.errors import Unavailable

_MAX_REPLY_BYTES = 2**20


class EndpointUnavailable(Unavailable):
    """The endpoint does not answer, or answers with an error."""


class QuestionFailed(EndpointUnavailable):
    """The endpoint failed at a question in a way that may be due to the question."""


@dataclass(frozen=True, slots=True)
class EndpointReply:
    """The status, the body, and for how many seconds the endpoint refuses further requests."""

    status: int
    body: bytes
    retry_after: float | None


class EndpointConnections:
    """Connections for as many requests as there are at once; for use in one event loop.

    Each has a transport of its own: a shared pool looks through all of its connections at every
    request, which takes most of the processor's time when there are 64.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self._url = httpx.URL(url)
        self._headers = {"Content-Type": "application/json", "User-Agent": "tusou"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._context = ssl.create_default_context()
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._all: list[httpx.AsyncHTTPTransport] = []

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._all:
            await transport.aclose()

    async def post(self, body: bytes) -> EndpointReply:
        """Send a body and return the whole reply; the caller limits the time.

        Raises httpx.HTTPError, and QuestionFailed for a reply of more than 1 MiB.
        """
        transport = self._idle.pop() if self._idle else self._open()
        try:
            request = httpx.Request("POST", self._url, content=body, headers=self._headers)
            response = await transport.handle_async_request(request)
            try:
                received = bytearray()
                async for part in response.aiter_bytes():
                    received += part
                    if len(received) > _MAX_REPLY_BYTES:
                        raise QuestionFailed("the endpoint answered with more than 1 MiB")
            finally:
                await response.aclose()
        finally:
            self._idle.append(transport)
        return EndpointReply(
            response.status_code, bytes(received), _read_retry_after(response.headers)
        )

    def _open(self) -> httpx.AsyncHTTPTransport:
        # Without the environment: ~/.netrc would replace the key.
        transport = httpx.AsyncHTTPTransport(verify=self._context, trust_env=False)
        self._all.append(transport)
        return transport


def _read_retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds of a Retry-After, which may be a date, or of OpenAI's retry-after-ms."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if value.isascii() and value.replace(".", "", 1).isdigit():
            return float(value) * unit
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
