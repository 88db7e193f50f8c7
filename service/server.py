"""The process: binds the port, serves, drains on SIGTERM, and ends with a code that tells why."""

import logging
import math
import os
import resource
import socket
import sys
from time import monotonic
from types import FrameType

import uvicorn

from service.app import create_app
from service.engine import Engine
from service.keys import ApiKeys
from service.protocol import protocol_with
from service.settings import Settings
from service.timeline import Tracer
from service.trial import Trial
from tusou.errors import IncompatibleBundle, TusouError, Unavailable

_log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_BROKEN = 70  # sysexits.h EX_SOFTWARE: the worker hangs or the device is lost
EXIT_MISMATCH = 78  # sysexits.h EX_CONFIG: this bundle needs another model or version
# A broken process has nothing left to finish.
_BROKEN_SHUTDOWN_S = 2
# Files that are no connections: libraries, the index, pictures being read.
_OTHER_FILES = 512


class Server(uvicorn.Server):
    """uvicorn, with a drain before the port closes and an eye on the engine."""

    def __init__(
        self,
        config: uvicorn.Config,
        engine: Engine,
        drain_seconds: float,
        trial: Trial | None = None,
    ) -> None:
        super().__init__(config)
        self.exit_code = 0
        self._engine, self._drain_seconds = engine, drain_seconds
        self._vital = trial.vital if trial else (engine,)
        self._drained_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Start to drain; a second signal changes nothing, and none is raised again at the end."""
        if not self._engine.draining:
            # The load balancer sees it at /readyz and goes elsewhere while we still answer.
            self._engine.draining = True
            self._drained_at = monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Stop at the end of the drain, or when only a new process can help."""
        broken = next((one.worker_error for one in self._vital if one.worker_error), None)
        unloaded = next((one.load_error for one in self._vital if one.load_error), None)
        if broken:
            self._fail(EXIT_BROKEN, broken)
        elif unloaded:
            mismatch = isinstance(unloaded, IncompatibleBundle)
            self._fail(EXIT_MISMATCH if mismatch else EXIT_FAILED, unloaded)
        elif monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)

    def _fail(self, code: int, error: Exception) -> None:
        self.exit_code = code
        self.should_exit = True
        self.config.timeout_graceful_shutdown = _BROKEN_SHUTDOWN_S
        bug = None if isinstance(error, TusouError) else error
        fields = {"code": getattr(error, "code", "internal"), "exit_code": code}
        _log.error("%s", error, exc_info=bug, extra={"fields": fields})


def serve(
    settings: Settings,
    engine: Engine,
    keys: ApiKeys | None,
    tracer: Tracer | None = None,
    trial: Trial | None = None,
) -> int:
    """Serve until a signal or a failure; return the exit code."""
    listener = _listen(settings.host, settings.port)
    _allow_files(settings.max_connections + _OTHER_FILES)
    app = create_app(
        lambda: engine,
        settings.requests(),
        keys=keys,
        docs=settings.docs,
        tracer=tracer,
        trial=trial,
    )
    config = uvicorn.Config(
        app,
        http=protocol_with(settings.connections()),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_s,
    )
    server = Server(config, engine, settings.drain_s, trial)
    host, port = listener.getsockname()[:2]
    _log.info("listening", extra={"fields": {"host": host, "port": port}})
    server.run(sockets=[listener])
    return server.exit_code


def leave(code: int) -> None:
    """End the process now: a thread that hangs in native code must not keep it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class PortTaken(Unavailable):
    """The address cannot be listened on."""

    code = "port_taken"


def _allow_files(count: int) -> None:
    """Raise this process's own limit of open files, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Cannot listen on {host}:{port}: {error.strerror}. Stop what uses it, or pass --port."
        ) from None
    return listener
