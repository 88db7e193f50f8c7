"""Worker processes of one service: started, restarted, drained and ended together.

Each worker is a whole server with its own engine. All listen on one port with SO_REUSEPORT, and
the kernel spreads the connections over them.
"""

import asyncio
import logging
import multiprocessing
import signal
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from time import monotonic
from typing import TypeAlias

from prometheus_client.multiprocess import mark_process_dead

from tusou import __version__
from tusou.core.errors import TusouError
from tusou.core.process_limits import exit_with_parent
from tusou_service import logging_config
from tusou_service.http.listener import bind, listen
from tusou_service.server import KEYS_NOTICE, PeerChannel, ServiceParts, leave, serve
from tusou_service.settings import Settings, isolate_processes, share_metrics
from tusou_service.shutdown import EXIT_BROKEN, EXIT_FAILED, EXIT_MISMATCH

MakeParts: TypeAlias = Callable[[Settings], ServiceParts]

_log = logging.getLogger(__name__)

# A worker that ends with one of these would end so again; the service ends with it.
_FINAL_CODES = frozenset({EXIT_FAILED, EXIT_BROKEN, EXIT_MISMATCH})
# More than this many deaths within this many seconds have a cause that no restart removes.
_MAX_DEATHS, _DEATHS_WITHIN = 10, 60.0
# Seconds a worker may take to end, beyond its drain and its requests in flight.
_END_SECONDS = 5.0


def run(settings: Settings, make_parts: MakeParts) -> int:
    """Serve with `settings.workers` processes, this one alone if it is 1; return the exit code.

    `make_parts` is called in each process, and must be picklable for several.
    Raises PortTaken, and the errors of `make_parts` if this process serves.
    """
    if settings.workers == 1:
        parts = make_parts(settings)
        listener = listen(settings.host, settings.port)
        _log_start(settings)
        return serve(settings, parts, listener)
    # A plain socket is refused where another service listens; a shared one would join it.
    with bind(settings.host, settings.port) as plain:
        port = plain.getsockname()[1]
    # Bound and not listening: it keeps the port while no worker runs.
    with (
        bind(settings.host, port, shared=True),
        tempfile.TemporaryDirectory(prefix="tusou-metrics-") as folder,
    ):
        _log_start(settings)
        isolate_processes()
        share_metrics(folder)
        supervisor = Supervisor(settings.model_copy(update={"port": port}), make_parts, folder)
        return asyncio.run(supervisor.run())


def _log_start(settings: Settings) -> None:
    fields = {
        "tusou": __version__,
        "bundle": str(settings.bundle or ""),
        "workers": settings.workers,
    }
    _log.info("starting", extra={"fields": fields})


@dataclass(eq=False, slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection


class Supervisor:
    """Keeps the workers running, and passes signals and notices on to them.

    A worker that is killed is restarted; its replacement accepts connections once its index is
    loaded. A worker that ends by itself with an exit code ends the service with that code.
    """

    def __init__(self, settings: Settings, make_parts: MakeParts, metrics_folder: str) -> None:
        self._settings, self._make_parts = settings, make_parts
        self._metrics_folder = metrics_folder
        self._workers: list[_Worker] = []
        self._deaths: deque[float] = deque(maxlen=_MAX_DEATHS)
        self._exit_code = 0
        self._stopping = False
        self._ended = asyncio.Event()

    async def run(self) -> int:
        """Run the workers until they have all ended; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, KEYS_NOTICE)
        for _ in range(self._settings.workers):
            self._start(replacement=False)
        await self._ended.wait()
        return self._exit_code

    def _start(self, *, replacement: bool) -> None:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_run_worker,
            args=(self._settings, self._make_parts, theirs, replacement),
        )
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        loop = asyncio.get_running_loop()
        loop.add_reader(process.sentinel, self._on_end, worker)
        loop.add_reader(ours.fileno(), self._on_notice, worker)
        _log.info("worker started", extra={"fields": {"pid": worker.process.pid}})

    def _on_notice(self, sender: _Worker) -> None:
        """Pass a notice of a reload on to all other workers."""
        try:
            notice = sender.connection.recv_bytes()
        except (EOFError, OSError):  # it is ending; `_on_end` follows
            asyncio.get_running_loop().remove_reader(sender.connection.fileno())
            return
        self._pass_on(notice, sender)

    def _pass_on(self, notice: bytes, sender: _Worker | None = None) -> None:
        for worker in self._workers:
            if worker is not sender:
                try:
                    worker.connection.send_bytes(notice)
                except OSError:  # it is exiting, and its replacement reads the files anyway
                    continue

    def _on_end(self, worker: _Worker) -> None:
        """Restart a worker that was killed, or end the service with its exit code."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(worker.process.sentinel)
        loop.remove_reader(worker.connection.fileno())
        worker.connection.close()
        worker.process.join()
        self._workers.remove(worker)
        mark_process_dead(worker.process.pid, self._metrics_folder)  # type: ignore[no-untyped-call]
        code = worker.process.exitcode
        fields = {"pid": worker.process.pid, "worker_exit_code": code}
        level = logging.INFO if self._stopping and not code else logging.WARNING
        _log.log(level, "worker ended", extra={"fields": fields})
        # A signal during the start of a worker ends it with 1, like any exception.
        if code in _FINAL_CODES and not (self._stopping and code == EXIT_FAILED):
            self._exit_code = self._exit_code or code
            self._stop()
        elif not self._stopping and self._too_many_deaths():
            self._give_up("the workers end as fast as they start; see the lines above")
        elif not self._stopping:
            try:
                self._start(replacement=True)
            except OSError as error:  # no memory or processes left
                self._give_up(f"cannot start a worker: {error}")
        if not self._workers:
            self._ended.set()

    def _too_many_deaths(self) -> bool:
        self._deaths.append(monotonic())
        full = len(self._deaths) == _MAX_DEATHS
        return full and self._deaths[-1] - self._deaths[0] < _DEATHS_WITHIN

    def _give_up(self, message: str) -> None:
        _log.error(message)
        self._exit_code = EXIT_BROKEN
        self._stop()

    def _stop(self) -> None:
        """Drain all workers; kill those that have not ended in time."""
        if self._stopping:
            return
        self._stopping = True
        for worker in self._workers:
            worker.process.terminate()
        patience = self._settings.drain_s + self._settings.shutdown_s + _END_SECONDS
        asyncio.get_running_loop().call_later(patience, self._kill)

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()


def _run_worker(
    settings: Settings, make_parts: MakeParts, connection: Connection, replacement: bool
) -> None:
    """Serve in this process, a child of the supervisor, and end it with an exit code."""
    exit_with_parent()
    logging_config.configure(settings.log_level, settings.log_format)
    try:
        parts = make_parts(settings)
        if replacement:  # the keys may have changed since the service started
            parts.read_keys_again()
        listener = bind(settings.host, settings.port, shared=True)
    except TusouError as error:
        fields = {"code": error.code, "exit_code": EXIT_FAILED}
        _log.error("%s", error, extra={"fields": fields})
        leave(EXIT_FAILED)
    leave(serve(settings, parts, listener, PeerChannel(connection), load_first=replacement))
