"""A server process: serves, drains on SIGTERM, and returns an exit code that says why it ended."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from multiprocessing.connection import Connection
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import uvicorn
from fastapi import FastAPI

from tusou.core.errors import InputError
from tusou_service.blas_tuning import use_one_blas_thread
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.versions import VersionFollower
from tusou_service.gc_tuning import tune_gc
from tusou_service.http.app import create_app
from tusou_service.http.auth import ApiKeys
from tusou_service.http.listener import allow_files, stop_connecting
from tusou_service.http.timeouts import make_protocol_class
from tusou_service.settings import Settings
from tusou_service.shutdown import BROKEN_SHUTDOWN_S, ShutdownMonitor

if TYPE_CHECKING:
    from tusou_service.experiment.ab_test import Experiment
    from tusou_service.observability.tracing import SpanTracer

_log = logging.getLogger(__name__)

# Messages between the supervisor and its workers.
RELOAD_NOTICE, KEYS_NOTICE = b"reload", b"keys"
# Seconds for clients to send the first request on a connection that was just opened.
_LAST_REQUEST_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class PeerChannel:
    """A worker's end of the pipe to its supervisor, which passes notices on."""

    connection: Connection

    def announce_reload(self) -> None:
        """Ask all other workers to look at CURRENT."""
        self.connection.send_bytes(RELOAD_NOTICE)

    def subscribe(self, on_reload: Callable[[], None], on_new_keys: Callable[[], None]) -> None:
        """Call back, in the event loop, when another worker reloads or the key file has changed."""

        def receive() -> None:
            try:
                notice = self.connection.recv_bytes()
            except (EOFError, OSError):  # the supervisor is gone, and this process ends too
                loop.remove_reader(self.connection.fileno())
            else:
                (on_new_keys if notice == KEYS_NOTICE else on_reload)()

        loop = asyncio.get_running_loop()
        loop.add_reader(self.connection.fileno(), receive)


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """The objects that one server process consists of."""

    engine: SearchEngine
    keys: ApiKeys | None = None
    tracer: "SpanTracer | None" = None
    experiment: "Experiment | None" = None

    @property
    def vital(self) -> tuple[SearchEngine, ...]:
        """The engines whose failure ends the process."""
        return tuple(self.experiment.vital) if self.experiment else (self.engine,)

    def read_keys_again(self) -> None:
        """Read the file of API keys again, if there is one; keep the old keys if it is unusable."""
        if self.keys is None:
            return
        try:
            self.keys.read_again()
        except InputError as error:
            _log.error("%s The previous keys stay.", error, extra={"fields": {"code": error.code}})
        else:
            _log.info("API keys read", extra={"fields": {"keys": len(self.keys.scopes)}})

    @asynccontextmanager
    async def running(
        self, follow_seconds: float = 0, peers: PeerChannel | None = None
    ) -> AsyncIterator[SearchEngine]:
        """Run the engines, and follow CURRENT: every `follow_seconds`, and when peers reload."""
        engines = self.experiment.engines if self.experiment else (self.engine,)
        reload = self.experiment.reload if self.experiment else self.engine.versions.reload
        for engine in engines:
            engine.newer_versions.reload = reload
        follower = VersionFollower([engine.versions for engine in engines], reload, follow_seconds)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.engine)
            if self.experiment:
                await stack.enter_async_context(self.experiment)
            await stack.enter_async_context(follower)
            if peers:
                peers.subscribe(follower.notify, self.read_keys_again)
            yield self.engine


class Server(uvicorn.Server):
    """uvicorn with a drain before the port closes, and an exit code."""

    def __init__(self, config: uvicorn.Config, parts: ServiceParts, drain_seconds: float) -> None:
        super().__init__(config)
        self.monitor = ShutdownMonitor(parts.vital, drain_seconds)
        self._parts = parts

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Start the drain. uvicorn's own handler would raise the signal again at the end."""
        self.monitor.drain()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections, and log the port, which differs from a setting of 0."""
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            fields = {"host": host, "port": port, "url": _url(host, port)}
            _log.info("listening", extra={"fields": fields})

    async def on_tick(self, counter: int) -> bool:
        """Stop when the monitor says so; called every 0.1 s."""
        if self.monitor.due():
            self.should_exit = True
        if self.monitor.exit_code:
            self.config.timeout_graceful_shutdown = BROKEN_SHUTDOWN_S
        self._parts.engine.metrics.refresh()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop without losing a request: block new connections, answer pending requests, close."""
        for listener in sockets or ():
            stop_connecting(listener)
        await asyncio.sleep(_LAST_REQUEST_SECONDS)
        await super().shutdown(sockets)


def serve(
    settings: Settings,
    parts: ServiceParts,
    listener: socket.socket,
    peers: PeerChannel | None = None,
    *,
    load_first: bool = False,
) -> int:
    """Serve until SIGTERM, SIGINT or a failure; return the exit code. SIGHUP reads the keys again.

    With `load_first`, accept no connection before the first load has ended.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the event loop handles it
    allow_files(settings.max_connections)

    @asynccontextmanager
    async def running() -> AsyncIterator[SearchEngine]:
        async with parts.running(settings.follow_s, peers) as engine:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, parts.read_keys_again)
            tuning = asyncio.create_task(_tune_when_loaded(parts.vital))
            if load_first:
                await asyncio.wait([tuning])
            try:
                yield engine
            finally:
                tuning.cancel()

    app = create_app(
        running,
        settings,
        keys=parts.keys,
        tracer=parts.tracer,
        experiment=parts.experiment,
        on_reload=peers.announce_reload if peers else None,
    )
    server = Server(_http_config(app, settings), parts, settings.drain_s)
    server.run(sockets=[listener])
    return server.monitor.exit_code


def _http_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return uvicorn's configuration for the application."""
    return uvicorn.Config(
        app,
        http=make_protocol_class(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_s,
    )


def _url(host: str, port: int) -> str:
    """Return the address of the search page, as this machine's browser opens it."""
    address = ip_address(host)  # of a bound socket, never a name
    if address.is_unspecified:  # it listens on all addresses
        return f"http://localhost:{port}/"
    return f"http://[{host}]:{port}/" if address.version == 6 else f"http://{host}:{port}/"


async def _tune_when_loaded(engines: tuple[SearchEngine, ...]) -> None:
    for engine in engines:
        await engine.versions.loaded()
    tune_gc()
    use_one_blas_thread()  # NumPy is loaded by now


def leave(code: int) -> NoReturn:
    """End the process at once: a thread that hangs in native code would keep it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
