"""When the process must end, and the code that tells why."""

import logging
import math
from time import monotonic

from tusou.core.errors import IncompatibleBundle, TusouError
from tusou_service.engine.engine import ExperimentArms, SearchEngine

_log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_BROKEN = 70  # sysexits.h EX_SOFTWARE: the worker hangs or the device is lost
EXIT_MISMATCH = 78  # sysexits.h EX_CONFIG: this bundle needs another model or version
# A broken process has nothing left to finish.
BROKEN_SHUTDOWN_S = 2


class Ending:
    """Watches the engines and the signals of one service.

    The first signal begins the drain: a load balancer sees it at /readyz and goes elsewhere while
    everything is still answered. A second one changes nothing.
    """

    def __init__(
        self, engine: SearchEngine, drain_seconds: float, experiment: ExperimentArms | None = None
    ) -> None:
        self.exit_code = 0
        self._engine, self._drain_seconds = engine, drain_seconds
        self._vital = experiment.vital if experiment else (engine,)
        self._drained_at = math.inf

    def drain(self) -> None:
        """Stop being ready, and be due when the drain is over."""
        if not self._engine.draining:
            self._engine.draining = True
            self._drained_at = monotonic() + self._drain_seconds

    def due(self) -> bool:
        """Tell whether to stop now: the drain is over, or only a new process can help."""
        broken = next((one.worker_error for one in self._vital if one.worker_error), None)
        unloaded = next((one.load_error for one in self._vital if one.load_error), None)
        if broken:
            self.fail(EXIT_BROKEN, broken)
        elif unloaded:
            mismatch = isinstance(unloaded, IncompatibleBundle)
            self.fail(EXIT_MISMATCH if mismatch else EXIT_FAILED, unloaded)
        return bool(self.exit_code) or monotonic() >= self._drained_at

    def fail(self, code: int, error: Exception) -> None:
        """End with this code, and say once why."""
        if self.exit_code:
            return
        self.exit_code = code
        bug = None if isinstance(error, TusouError) else error
        fields = {"code": getattr(error, "code", "internal"), "exit_code": code}
        _log.error("%s", error, exc_info=bug, extra={"fields": fields})
