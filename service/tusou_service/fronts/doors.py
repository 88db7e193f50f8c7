"""Connections, accepted in one process and handed in turn to those that speak HTTP.

Processes that accept on one socket by themselves share the connections badly: whoever is awake
takes them all, and with keep-alive that is for long.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)

# A descriptor travels with a byte of data.
_BYTE = b"\0"
# After the system has run out of files; some may have been closed by then.
_PAUSE_SECONDS = 1.0
# Connections accepted in one turn of the event loop.
_AT_ONCE = 32


class Accepter:
    """Accepts, and hands each connection to the next of the doors that are open."""

    def __init__(
        self, listener: socket.socket, doors: Callable[[], Sequence[socket.socket]]
    ) -> None:
        self._listener, self._doors = listener, doors
        self._next = 0
        self._closed = False

    def open(self) -> None:
        """Begin, if there is a door."""
        if self._doors() and not self._closed:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def shut(self) -> None:
        """Leave connections where they wait: nobody is there to take one."""
        if not self._closed:
            asyncio.get_running_loop().remove_reader(self._listener)

    def close(self) -> None:
        """Close the port."""
        self.shut()
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        try:
            for _ in range(_AT_ONCE):
                connection, _ = self._listener.accept()
                with connection:
                    self._hand(connection)
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # that was the last one, or its client has gone
        except OSError as error:
            _log.error("cannot accept: %s", error)
            self.shut()
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.open)

    def _hand(self, connection: socket.socket) -> None:
        """Try each door once; a connection that none takes is closed."""
        doors = self._doors()
        for _ in doors:
            self._next = (self._next + 1) % len(doors)
            try:
                socket.send_fds(doors[self._next], [_BYTE], [connection.fileno()])
            except OSError:  # that front is dead, or takes nothing any more
                continue
            return


def take(door: socket.socket) -> socket.socket | None:
    """Take one connection out of a door; None when there is none now. EOFError at the end."""
    try:
        byte, given, _, _ = socket.recv_fds(door, len(_BYTE), 1)
    except (BlockingIOError, InterruptedError):
        return None
    if not byte:
        raise EOFError
    if not given:  # this process has no room for another file
        _log.error("cannot take a connection: too many open files")
        return None
    connection = socket.socket(fileno=given[0])
    connection.settimeout(0)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
