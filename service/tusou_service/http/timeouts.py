"""HTTP/1.1 with deadlines: uvicorn's protocol waits for a slow client for ever."""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tusou.core.errors import Overloaded, TusouError
from tusou_service.http.errors import BadHttp, HeadersTooLarge, problem_response
from tusou_service.http.limits import ConnectionLimits

# The front door answers a slow body with 408; this much later the connection is cut regardless.
_GRACE = 1.0
_LINGER = 2.0


def make_protocol_class(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """Return the protocol class with its limits set, for `uvicorn.Config(http=...)`."""
    return type("LimitedProtocol", (TimeoutProtocol,), {"limits": limits})


class TimeoutProtocol(HttpToolsProtocol):
    """Closes connections that send their headers or body, or read their answer, too slowly.

    Also caps how many there are, and the bytes of headers before they are parsed. uvicorn's own
    timer covers the idle time between two requests.
    """

    limits: ClassVar[ConnectionLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Arm the header deadline, or turn the client away when there are too many."""
        self._timers: dict[str, TimerHandle] = {}
        self._unparsed = 0
        self._in_headers = True
        self._discarding = False
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(Overloaded())
            return
        self._arm("headers", self.limits.header_seconds, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every deadline."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and cap what a request may send before its headers end."""
        if self._discarding or self.transport.is_closing():
            return
        waited = self._in_headers
        super().data_received(data)
        self._unparsed = self._unparsed + len(data) if waited and self._in_headers else 0
        if self._unparsed > self.limits.header_bytes and not self.transport.is_closing():
            self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        """Start the clock of this request's headers."""
        self._in_headers = True
        self._arm("headers", self.limits.header_seconds, self._close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop that clock and start the body's."""
        self._in_headers = False
        self._disarm("headers")
        self._arm("body", self.limits.body_seconds + _GRACE, self._close)
        super().on_headers_complete()
        self.cycle.transport = _DeferredCloseTransport(self.transport, self._finish)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        """Stop the body's clock."""
        self._disarm("body")
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close between two requests, even when the last answer was never read."""
        self._close()

    def pause_writing(self) -> None:
        """Start the clock of a client that does not read."""
        self._arm("write", self.limits.write_seconds, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop that clock."""
        self._disarm("write")
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the form of every other error."""
        if not self.transport.is_closing():
            self._refuse(BadHttp(msg))

    def _arm(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        self._disarm(name)
        self._timers[name] = self.loop.call_later(seconds, act)

    def _disarm(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _close(self) -> None:
        self.transport.close()
        # close() waits for the peer to read what is buffered; a peer may never do so.
        self._arm("write", self.limits.write_seconds, self.transport.abort)

    def _finish(self) -> None:
        """Close after the last answer of this connection."""
        if self.cycle.more_body:
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """End our side, and throw away what the client still sends before closing.

        To close at once would have the kernel reset the connection, and a client that sends
        before it reads would lose the answer that tells it what is wrong.
        """
        self._discarding = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm("linger", _LINGER, self._close)

    def _refuse(self, error: TusouError) -> None:
        """Write an answer by hand, unless one has begun, and close."""
        answering = self.cycle is not None and self.cycle.response_started
        if not answering or self.cycle.response_complete:
            answer = problem_response(error, "none")
            head = [STATUS_LINE[answer.status_code]]
            head += [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
            if b"connection" not in dict(answer.raw_headers):
                head.append(b"connection: close\r\n")
            self.transport.write(b"".join([*head, b"\r\n", bytes(answer.body)]))
        self._linger()


class _DeferredCloseTransport:
    """A transport whose `close` is the protocol's to decide."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close
