"""HTTP/1.1 with deadlines for headers, body and response, which uvicorn lacks."""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tusou.core.errors import Overloaded, TusouError
from tusou_service.http.errors import HeadersTooLarge
from tusou_service.http.protocol import HttpProtocol

if TYPE_CHECKING:
    from tusou_service.settings import Settings

# RequestMiddleware answers a slow body with 408; the connection is ended this much later.
_GRACE_SECONDS = 1.0


def make_protocol_class(settings: "Settings") -> type[HttpToolsProtocol]:
    """Return a protocol class with these limits, for `uvicorn.Config(http=...)`."""
    return type("LimitedProtocol", (TimeoutProtocol,), {"settings": settings})


class TimeoutProtocol(HttpProtocol):
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
        self._part_ended = False  # whether the newest data ended headers or a body
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            self.end(Overloaded())
            return
        self._start_timer("headers", self.settings.header_s, self.end)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and limit the bytes before the headers end."""
        self._part_ended = False
        super().data_received(data)
        in_same_headers = self._in_headers and not self._part_ended
        self._unparsed_bytes = self._unparsed_bytes + len(data) if in_same_headers else 0
        if self._unparsed_bytes > self.settings.max_header_bytes:
            self.end(HeadersTooLarge())

    def on_message_begin(self) -> None:
        self._start_timer("headers", self.settings.header_s, self.end)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if not self._in_headers:
            self._part_ended = True
            self._stop_timer("headers")
            self._start_timer("body", self.settings.body_s + _GRACE_SECONDS, self.end)

    def on_message_complete(self) -> None:
        self._stop_timer("body")
        self._part_ended = True
        super().on_message_complete()

    def end(self, error: TusouError | None = None) -> None:
        self._stop_timer("headers")
        super().end(error)

    def close(self) -> None:
        super().close()
        # The transport waits until the client has read the buffer, which may never happen.
        self._start_timer("write", self.settings.write_s, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its last response was never read."""
        self.close()

    def pause_writing(self) -> None:
        """Start the deadline of a client that does not read."""
        self._start_timer("write", self.settings.write_s, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stop_timer("write")
        super().resume_writing()

    def _start_timer(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        self._stop_timer(name)
        self._timers[name] = self.loop.call_later(seconds, callback)

    def _stop_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
