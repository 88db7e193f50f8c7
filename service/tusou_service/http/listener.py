"""The listening socket, and the limit of open files."""

import contextlib
import ctypes
import resource
import socket
import struct
import sys

from tusou.core.errors import Unavailable

_OTHER_FILES = 512  # besides connections: libraries, the index, images
_BACKLOG = 2048  # connections that wait to be accepted

# Linux: attaches a packet filter, which here drops packets with the SYN flag.
_SO_ATTACH_FILTER = 26
_DROP_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of TCP's header that holds the flags
        (0x45, 0, 1, 0x02),  # is SYN among them?
        (0x06, 0, 0, 0),  # then drop the packet,
        (0x06, 0, 0, 0xFFFFFFFF),  # else pass it
    )
)


class PortTaken(Unavailable):
    """The address is in use or not available."""

    code = "port_taken"


def allow_files(connections: int) -> None:
    """Raise the soft limit of open files of this process, up to the hard limit."""
    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket; with `shared`, others may bind to the port too. PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            "Stop the process that uses it, or pass --port."
        ) from None
    return listener


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; PortTaken."""
    listener = bind(host, port)
    listener.listen(_BACKLOG)
    return listener


def stop_connecting(listener: socket.socket) -> None:
    """Block new connections; those that are established can still be accepted (Linux only).

    Closing a listener resets the connections that wait to be accepted, and requests on them.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    header = struct.pack("HP", len(_DROP_SYN) // 8, ctypes.addressof(program))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
