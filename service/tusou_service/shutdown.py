"""Shutdown: when the process must end, and its exit code."""

import logging
import math
from collections.abc import Sequence
from time import monotonic

from tusou.core.errors import IncompatibleBundle, TusouError
from tusou_service.engine.engine import SearchEngine

_log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_BROKEN = 70  # sysexits.h EX_SOFTWARE: a batch hangs, the device is lost, or workers die
EXIT_MISMATCH = 78  # sysexits.h EX_CONFIG: this bundle needs another model or version
# Seconds that a broken process has for its requests in flight.
BROKEN_SHUTDOWN_S = 2


class ShutdownMonitor:
    """Watches the signals and the engines of one process.

    The first signal starts the drain: /readyz answers 503, so that a load balancer sends no more,
    while everything is still answered. Further signals change nothing.
    """

    def __init__(self, engines: Sequence[SearchEngine], drain_seconds: float) -> None:
        self.exit_code = 0
        self._engines, self._drain_seconds = engines, drain_seconds
        self._drained_at = math.inf

    def drain(self) -> None:
        """Stop being ready, and be due at the end of the drain."""
        if self._drained_at == math.inf:
            for engine in self._engines:
                engine.draining = True
            self._drained_at = monotonic() + self._drain_seconds
            _log.info("draining", extra={"fields": {"seconds": self._drain_seconds}})

    def due(self) -> bool:
        """Return whether to stop now: after the drain, or because only a new process can help."""
        for engine in self._engines:
            if engine.worker_error:
                self._fail(EXIT_BROKEN, engine.worker_error)
            elif isinstance(engine.versions.load_error, IncompatibleBundle):
                self._fail(EXIT_MISMATCH, engine.versions.load_error)
            elif engine.versions.load_error:
                self._fail(EXIT_FAILED, engine.versions.load_error)
        return bool(self.exit_code) or monotonic() >= self._drained_at

    def _fail(self, code: int, error: BaseException) -> None:
        if self.exit_code:
            return
        self.exit_code = code
        bug = None if isinstance(error, TusouError) else error
        fields = {"code": getattr(error, "code", "internal"), "exit_code": code}
        _log.error("%s", error, exc_info=bug, extra={"fields": fields})
