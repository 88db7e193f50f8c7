"""A process that speaks HTTP for an engine in another one, its parent."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType

import uvicorn
from prometheus_client import CollectorRegistry

from tusou.core.errors import NotReady
from tusou_service import factory as wiring
from tusou_service import logging_config as logs
from tusou_service.engine.interfaces import Arm
from tusou_service.engine.micro_batcher import QueueState
from tusou_service.fronts.doors import take
from tusou_service.fronts.line import Answerer, Line
from tusou_service.fronts.remote import RemoteEngine, RemoteExperiment, RemoteRate
from tusou_service.gc_tuning import settle
from tusou_service.http.app import create_app
from tusou_service.http.auth import ApiKeys
from tusou_service.http.listener import allow_files, http_config, loop_factory
from tusou_service.observability.traffic import Families, Traffic
from tusou_service.settings import Settings
from tusou_service.shutdown import BROKEN_SHUTDOWN_S


@dataclass(frozen=True, slots=True)
class Setup:
    """What a front asks its parent for first."""

    settings: Settings
    keys: ApiKeys | None


class FrontServer(uvicorn.Server):
    """uvicorn on the connections that its parent hands it, until that says stop or is gone."""

    def __init__(
        self, config: uvicorn.Config, door: socket.socket, line: Line, opened: asyncio.Event
    ) -> None:
        super().__init__(config)
        self._door, self._line, self._opened = door, line, opened
        self._taking: set[asyncio.Task[object]] = set()

    def stop(self, seconds: float) -> None:
        """Give requests in flight so long to finish; no more connections will be handed."""
        self.config.timeout_graceful_shutdown = int(seconds)
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Leave signals, which may have been sent to the whole group, to the parent."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(self._door, self._take)
        self._opened.set()

    async def on_tick(self, counter: int) -> bool:
        """Leave when nobody is there to answer."""
        if self._line.lost.is_set():
            self.stop(BROKEN_SHUTDOWN_S)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what was handed before the end, then finish."""
        asyncio.get_running_loop().remove_reader(self._door)
        while self._take():
            pass
        if self._taking:
            await asyncio.wait(self._taking)
        await super().shutdown(sockets)

    def _take(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            connection = take(self._door)
        except (EOFError, OSError):
            loop.remove_reader(self._door)
            return False
        if connection is None:
            return False
        task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        return True

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


class Front:
    """One front's life, and what it answers to its parent."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._traffic = Traffic(self._registry)
        self._engines: dict[Arm, RemoteEngine] = {}
        self._server: FrontServer | None = None
        self._opened = asyncio.Event()
        self._stopped = False

    async def live(self, end: socket.socket, door: socket.socket) -> None:
        """Serve until the parent says stop, or is gone."""
        answers: dict[str, Answerer] = {
            "stop": self._stop,
            "press": self._press,
            "traffic": self._collect,
        }
        line = Line(answers)
        await line.open(end)
        try:
            setup: Setup = await line.call("setup")
        except NotReady:  # it has gone again
            return
        settings = setup.settings
        logs.configure(settings.log_level)
        allow_files(settings.connections().connections)
        self._engines["a"] = RemoteEngine(line, "a", self._traffic)
        if settings.ab_bundle:
            self._engines["b"] = RemoteEngine(line, "b", self._traffic)
        app = create_app(
            lambda: contextlib.nullcontext(self._engines["a"]),
            settings.requests(),
            keys=setup.keys,
            docs=settings.docs,
            tracer=wiring.make_tracer(settings),
            trial=RemoteExperiment(line, settings.trial(), self._engines)
            if settings.ab_bundle
            else None,
            rate=RemoteRate(line) if settings.rate_per_s else None,
        )
        self._server = FrontServer(http_config(app, settings), door, line, self._opened)
        settle()
        if not self._stopped:
            await self._server.serve(sockets=[])

    async def _stop(self, seconds: float) -> None:
        self._stopped = True
        if self._server:
            self._server.stop(seconds)

    async def _press(self, pressures: Mapping[Arm, QueueState]) -> None:
        for arm, engine in self._engines.items():
            engine.pressure = pressures[arm]

    async def _collect(self) -> Families:
        await self._opened.wait()  # the first answer says that connections can come
        return list(self._registry.collect())


def main() -> None:
    """Live on the two sockets that the command line numbers."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # sent to a group; the parent drains first
        signal.signal(ending, signal.SIG_IGN)
    end, door = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    door.settimeout(0)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(Front().live(end, door))


if __name__ == "__main__":
    main()
