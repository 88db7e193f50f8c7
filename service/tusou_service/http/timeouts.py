"""HTTP/1.1 with deadlines for headers, body and response, which uvicorn lacks."""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tusou.core.errors import Overloaded, TusouError
from tusou_service.http.errors import BadHttp, HeadersTooLarge, problem_response

if TYPE_CHECKING:
    from tusou_service.settings import Settings

# This module uses what uvicorn does not document: the methods overridden below, `cycle`,
# `connections` and STATUS_LINE. Hence the upper bound of uvicorn in pyproject.toml.

# RequestMiddleware answers a slow body with 408; the connection is closed this much later.
_GRACE_SECONDS = 1.0
_LINGER_SECONDS = 2.0


def make_protocol_class(settings: "Settings") -> type[HttpToolsProtocol]:
    """Return a protocol class with these limits, for `uvicorn.Config(http=...)`."""
    return type("LimitedProtocol", (TimeoutProtocol,), {"settings": settings})


class TimeoutProtocol(HttpToolsProtocol):
    """Closes connections that send headers or body, or read their response, too slowly.

    Deadlines are absolute: slow, steady bytes do not extend them.
    Limits the number of connections, and the bytes of headers before they are parsed. uvicorn's
    own timer covers the idle time between two requests.
    """

    settings: ClassVar["Settings"]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the header deadline; refuse the connection if there are too many."""
        self._timers: dict[str, TimerHandle] = {}
        self._unparsed_bytes = 0
        self._in_headers = True
        self._discarding = False
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            self._refuse(Overloaded())
            return
        self._start_timer("headers", self.settings.header_s, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and limit the bytes before the headers end."""
        if self._discarding or self.transport.is_closing():
            return
        was_in_headers = self._in_headers
        super().data_received(data)
        in_same_headers = was_in_headers and self._in_headers
        self._unparsed_bytes = self._unparsed_bytes + len(data) if in_same_headers else 0
        too_large = self._unparsed_bytes > self.settings.max_header_bytes
        if too_large and not self.transport.is_closing():
            self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        self._in_headers = True
        self._start_timer("headers", self.settings.header_s, self._close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._stop_timer("headers")
        self._start_timer("body", self.settings.body_s + _GRACE_SECONDS, self._close)
        super().on_headers_complete()
        self.cycle.transport = SimpleNamespace(  # type: ignore[assignment]
            write=self.transport.write, is_closing=self.transport.is_closing, close=self._finish
        )

    def on_message_complete(self) -> None:
        self._stop_timer("body")
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its last response was never read."""
        self._close()

    def pause_writing(self) -> None:
        """Start the deadline of a client that does not read."""
        self._start_timer("write", self.settings.write_s, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stop_timer("write")
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer data that is not HTTP with a problem, as every other error."""
        if not self.transport.is_closing():
            self._refuse(BadHttp(msg))

    def _start_timer(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        self._stop_timer(name)
        self._timers[name] = self.loop.call_later(seconds, callback)

    def _stop_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()

    def _close(self) -> None:
        self.transport.close()
        # close() waits until the client has read the buffer, which it may never do.
        self._start_timer("write", self.settings.write_s, self.transport.abort)

    def _finish(self) -> None:
        """Close the connection after its last response."""
        if self.cycle.more_body:
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """End our side, and discard what the client still sends before closing.

        If the connection closed at once, the kernel would reset it, and a client that sends
        before it reads would lose the response that explains the error.
        """
        self._discarding = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start_timer("linger", _LINGER_SECONDS, self._close)

    def _refuse(self, error: TusouError) -> None:
        """Write a problem response, unless another response has begun, and close."""
        started = self.cycle is not None and self.cycle.response_started
        if not started or self.cycle.response_complete:
            response = problem_response(error, "none")
            lines = [STATUS_LINE[response.status_code]]
            lines += [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
            if b"connection" not in dict(response.raw_headers):
                lines.append(b"connection: close\r\n")
            self.transport.write(b"".join([*lines, b"\r\n", bytes(response.body)]))
        self._linger()
