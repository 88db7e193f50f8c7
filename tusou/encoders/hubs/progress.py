"""Progress of downloads, in megabytes."""

import logging
from time import monotonic

from tusou.core.progress import Progress, shown_progress

_MEGABYTE = 1_000_000
_LINE_SECONDS = 15.0

log = logging.getLogger(__name__)


class LoggedProgress:
    """Logs a download every 15 seconds: for services, and for Python code with logging."""

    def __init__(self) -> None:
        self._label, self._total, self._done, self._logged = "", 0, 0, 0.0

    def begin(self, label: str, total: int, done: int = 0) -> None:
        self._label, self._total, self._done, self._logged = label, total, done, monotonic()
        log.info("%s: %d MB", label, total)

    def advance(self, steps: int = 1, note: str = "") -> None:  # noqa: ARG002
        self._done += steps
        if monotonic() - self._logged >= _LINE_SECONDS:
            self._logged = monotonic()
            log.info("%s: %d of %d MB", self._label, self._done, self._total)

    def notice(self, message: str) -> None:
        log.warning(message)


class ByteProgress:
    """Counts bytes for a progress that counts megabytes."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress, self._bytes = progress, 0
        progress.begin(label, -(-total // _MEGABYTE))

    def add(self, count: int) -> None:
        """Count bytes; negative ones if they have to come again."""
        before, self._bytes = self._bytes // _MEGABYTE, self._bytes + count
        if steps := self._bytes // _MEGABYTE - before:
            self._progress.advance(steps)

    def notice(self, message: str) -> None:
        """Print a message."""
        self._progress.notice(message)


def default_progress() -> Progress:
    """Return the display of the running command, or else the log."""
    return shown_progress() or LoggedProgress()
