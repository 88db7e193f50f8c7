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


def listen(host: str, port: int) -> socket.socket:
    """Open the port and say which it is; PortTaken. Who comes before it is served waits."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Cannot listen on {host}:{port}: {error.strerror}. Stop what uses it, or pass --port."
        ) from None
    host, port = listener.getsockname()[:2]
    _log.info("listening", extra={"fields": {"host": host, "port": port}})
    return listener


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
