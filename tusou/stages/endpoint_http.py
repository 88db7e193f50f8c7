"""HTTP connections to an endpoint, each of which carries one request at a time.

They speak HTTP/1.1 by h11 over asyncio's streams. A request takes a quarter of the processor's time
that it takes through httpx, which matters where 64 are in flight.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import h11
import httpx

from tusou.core.errors import Unavailable

_MAX_REPLY_BYTES = 2**20
_MAX_HEAD_BYTES = 100 * 2**10
_READ_BYTES = 2**16
_FIRST_ADDRESS_SECONDS = 0.25  # before the next address of a name is tried as well


class EndpointUnavailable(Unavailable):
    """The endpoint does not answer, or answers with an error."""


class QuestionFailed(EndpointUnavailable):
    """The endpoint failed at a question in a way that may be due to the question."""


class NotConnected(Exception):
    """No connection could be opened."""


class BrokenOff(Exception):
    """The connection ended before the whole reply came, or what came is not HTTP."""


@dataclass(frozen=True, slots=True)
class EndpointReply:
    """The status, the body, and for how many seconds the endpoint refuses further requests."""

    status: int
    body: bytes
    retry_after: float | None


class EndpointConnections:
    """Connections for as many requests as there are at once; for use in one event loop."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = httpx.URL(url)
        self._headers = [
            (b"Host", self._url.netloc),
            (b"Content-Type", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", b"tusou"),
        ]
        if key:
            self._headers.append((b"Authorization", f"Bearer {key}".encode()))
        self._context: ssl.SSLContext | None = None
        if self._url.scheme == "https":
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        self._idle: list[_Connection] = []

    async def aclose(self) -> None:
        """Close the connections, none of which carries a request any more."""
        while self._idle:
            await self._idle.pop().aclose()

    async def post(self, body: bytes) -> EndpointReply:
        """Send a body and return the whole reply; the caller limits the time.

        Raises NotConnected, BrokenOff, and QuestionFailed for a reply of more than 1 MiB.
        """
        connection = self._take_idle() or await self._open()
        head = h11.Request(
            method=b"POST",
            target=self._url.raw_path,
            headers=[*self._headers, (b"Content-Length", str(len(body)).encode())],
        )
        try:
            reply = await connection.exchange(head, body)
        except (OSError, EOFError, h11.ProtocolError) as error:
            raise BrokenOff(str(error) or type(error).__name__) from None
        finally:
            # A request that failed or was cancelled has left the connection in the midst of it.
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                connection.close()
        return reply

    def _take_idle(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable:
                return connection
            connection.close()
        return None

    async def _open(self) -> "_Connection":
        try:
            reader, writer = await asyncio.open_connection(
                self._url.raw_host.decode(),
                self._url.port or (443 if self._context else 80),
                ssl=self._context,
                happy_eyeballs_delay=_FIRST_ADDRESS_SECONDS,
            )
        except OSError as error:
            raise NotConnected(f"no connection to the endpoint ({type(error).__name__})") from None
        return _Connection(reader, writer)


class _Connection:
    """A connection with the state of its protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)

    @property
    def is_reusable(self) -> bool:
        """The connection is idle, and the server neither closed it nor said that it would."""
        if self._reader.at_eof() or self._writer.is_closing():
            return False
        return self._http.our_state is self._http.their_state is h11.IDLE

    async def exchange(self, head: h11.Request, body: bytes) -> EndpointReply:
        """Send a request and return its reply; OSError, EOFError or h11.ProtocolError."""
        parts = (self._http.send(event) for event in (head, h11.Data(data=body)))
        self._writer.writelines([*(part for part in parts if part)])
        self._http.send(h11.EndOfMessage())
        response: h11.Response | None = None
        received = bytearray()
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                received += event.data
                if len(received) > _MAX_REPLY_BYTES:
                    raise QuestionFailed("the endpoint answered with more than 1 MiB")
        assert response is not None, "h11 ends no message that has not begun"
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers
        }
        return EndpointReply(response.status_code, bytes(received), _read_retry_after(headers))

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(_READ_BYTES)
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise EOFError("the server closed the connection without a reply")
            self._http.receive_data(data)
        return event

    def close(self) -> None:
        """Close at once."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Close, and wait for the end."""
        self._writer.close()
        with suppress(OSError):  # the server may be first
            await self._writer.wait_closed()


def _read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After, which may be a date, or of OpenAI's retry-after-ms.

    The names of the headers are in lower case.
    """
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
