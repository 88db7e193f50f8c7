"""HTTP/1.1 by uvicorn and httptools, with connections that end cleanly."""

import asyncio
import logging
from asyncio import TimerHandle
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from tusou.core.errors import TusouError
from tusou_service.http.errors import BadHttp, problem_response

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

# This module uses undocumented parts of uvicorn: the methods overridden below, `cycle`,
# `pipeline` and STATUS_LINE. Hence the upper bound of uvicorn in pyproject.toml.

_LINGER_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _ResponseTransport:
    """The transport of one response, which may come after the end of the connection."""

    protocol: "HttpProtocol"
    cycle: RequestResponseCycle

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self.protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self.protocol.is_ended or self.protocol.transport.is_closing()

    def close(self) -> None:
        self.protocol.finish(self.cycle)


class HttpProtocol(HttpToolsProtocol):
    """Parses requests; ends a connection after its responses, and with at most one error.

    * An offer to upgrade the connection, such as `Upgrade: h2c`, is ignored. httptools would treat
      it as accepted, and drop the body.
    * Data that is not HTTP is answered after the requests before it, with one 400. If it is within
      a body, it is the error of that request.
    * After the last response the client's data is discarded for a moment before the connection is
      closed: the kernel would reset it otherwise, and the client could lose that response.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.is_ended = False  # the server's side is closed; data from the client is discarded
        self._is_ending = False  # no more data is parsed; responses are still sent
        self._in_headers = True  # also before them
        self._last_error: TusouError | None = None  # sent after all responses
        self._body_error: TusouError | None = None  # of `cycle`
        self._linger: TimerHandle | None = None
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger:
            self._linger.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_ending or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        try:
            while rest and not self._is_ending:
                try:
                    self.parser.feed_data(rest)
                except httptools.HttpParserUpgrade as offer:
                    rest = rest[offer.args[0] :]
                    self._ignore_upgrade()
                else:
                    return
        except httptools.HttpParserError:
            self.end(BadHttp())

    def on_message_begin(self) -> None:
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # `_ignore_upgrade` follows
        super().on_headers_complete()
        self._in_headers = False
        self.cycle.transport = _ResponseTransport(self, self.cycle)  # type: ignore[assignment]
        self.cycle.receive = partial(self._receive, self.cycle)  # type: ignore[method-assign]

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._in_headers = True

    def on_response_complete(self) -> None:
        if self.is_ended:
            return
        super().on_response_complete()
        if self._is_ending and self.cycle.response_complete:
            self._close_with(self._last_error)

    def end(self, error: TusouError | None = None) -> None:
        """Parse no more data, and close the connection after its responses and then this error."""
        if self._is_ending or self.transport.is_closing():
            return
        self._is_ending = True
        answered = self.cycle is None or self.cycle.response_complete
        if self._in_headers and not answered:
            self._last_error = error
        elif self._in_headers:
            self._close_with(error)
        elif not answered:
            self._body_error = error
            self.cycle.keep_alive = False
            self.cycle.message_event.set()
        else:
            self._end_our_side()

    def finish(self, cycle: RequestResponseCycle) -> None:
        """Close the connection after this response, its last."""
        if self.is_ended:
            return
        if cycle.more_body or cycle is not self.cycle or self._is_ending:
            self._end_our_side()
        else:
            self.close()

    def close(self) -> None:
        """Close the connection once what is written has been sent."""
        self.transport.close()

    def _ignore_upgrade(self) -> None:
        """Parse the head again without the offer of another protocol (RFC 9110, section 7.8)."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError
        fields = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        head = b"\r\n".join([b"%b %b HTTP/%b" % (method, self.url, version), *fields, b"", b""])
        self.parser = httptools.HttpRequestParser(self)
        # As in HttpToolsProtocol.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(head)

    async def _receive(self, cycle: RequestResponseCycle) -> "ASGIReceiveEvent":
        """Return the next part of a body; raise the error of a body that is not HTTP."""
        message = await type(cycle).receive(cycle)
        if cycle is self.cycle and self._body_error:
            raise self._body_error
        return message

    def _close_with(self, error: TusouError | None) -> None:
        """Write this error, if there is one, and close the connection."""
        self._unset_keepalive_if_required()
        if error is None:
            self.close()
            return
        response = problem_response(error, "none")
        lines = [STATUS_LINE[response.status_code]]
        lines += [name + b": " + value + b"\r\n" for name, value in response.raw_headers]
        if b"connection" not in dict(response.raw_headers):
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([*lines, b"\r\n", bytes(response.body)]))
        fields = {"code": error.code, "status": response.status_code}
        _log.info("connection refused", extra={"fields": fields})
        self._end_our_side()

    def _end_our_side(self) -> None:
        """Close the server's side; discard data from the client until the connection closes."""
        self._is_ending = self.is_ended = True
        self.pipeline.clear()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._linger = self.loop.call_later(_LINGER_SECONDS, self.close)
