"""The process: binds the port, serves, drains on SIGTERM, and ends with a code that tells why."""

import logging
import os
import sys
from types import FrameType

import uvicorn

from tusou_service.engine.engine import ExperimentArms, SearchEngine
from tusou_service.gc_tuning import settled
from tusou_service.http.app import create_app
from tusou_service.http.auth import ApiKeys
from tusou_service.http.listener import allow_files, http_config, listen
from tusou_service.observability.stages import Tracer
from tusou_service.settings import Settings
from tusou_service.shutdown import BROKEN_SHUTDOWN_S, Ending

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn, with a drain before the port closes and an eye on the engine."""

    def __init__(
        self,
        config: uvicorn.Config,
        engine: SearchEngine,
        drain_seconds: float,
        experiment: ExperimentArms | None = None,
    ) -> None:
        super().__init__(config)
        self.ending = Ending(engine, drain_seconds, experiment)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Start to drain; no signal is raised again at the end."""
        self.ending.drain()

    async def on_tick(self, counter: int) -> bool:
        """Stop when it is time."""
        if self.ending.due():
            self.should_exit = True
        if self.ending.exit_code:
            self.config.timeout_graceful_shutdown = BROKEN_SHUTDOWN_S
        return await super().on_tick(counter)


def serve(
    settings: Settings,
    engine: SearchEngine,
    keys: ApiKeys | None,
    tracer: Tracer | None = None,
    experiment: ExperimentArms | None = None,
) -> int:
    """Serve until a signal or a failure; return the exit code."""
    listener = listen(settings.host, settings.port)
    allow_files(settings.connections().connections)
    app = create_app(
        lambda: settled(engine),
        settings.requests(),
        keys=keys,
        docs=settings.docs,
        tracer=tracer,
        experiment=experiment,
    )
    server = Server(http_config(app, settings), engine, settings.drain_s, experiment)
    server.run(sockets=[listener])
    return server.ending.exit_code


def leave(code: int) -> None:
    """End the process now: a thread that hangs in native code must not keep it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
