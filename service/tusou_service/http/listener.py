"""What it takes to listen: the port, files for the connections, uvicorn's configuration."""

import logging
import resource
import socket

import uvicorn
from fastapi import FastAPI

from tusou.core.errors import Unavailable
from tusou_service.http.timeouts import make_protocol_class
from tusou_service.settings import Settings

_log = logging.getLogger(__name__)

# Files that are no connections: libraries, the index, images being read.
_OTHER_FILES = 512
# Connections that may wait to be accepted.
_BACKLOG = 2048


class PortTaken(Unavailable):
    """The address cannot be listened on."""

    code = "port_taken"


def allow_files(connections: int) -> None:
    """Raise this process's own limit of open files, as far as the system lets it."""
    count = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket, one of several on its port if it is shared; PortTaken."""
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
            f"Cannot listen on {host}:{port}: {error.strerror}. Stop what uses it, or pass --port."
        ) from None
    return listener


def listen(host: str, port: int) -> socket.socket:
    """Return a socket at which connections can wait from now on; PortTaken."""
    listener = bind(host, port)
    listener.listen(_BACKLOG)
    log_address(listener)
    return listener


def log_address(listener: socket.socket) -> None:
    """Log the address and the port, which is not the one of the settings if that is 0."""
    host, port = listener.getsockname()[:2]
    _log.info("listening", extra={"fields": {"host": host, "port": port}})


def http_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn is to serve the application."""
    return uvicorn.Config(
        app,
        http=make_protocol_class(settings.connections()),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_s,
    )
