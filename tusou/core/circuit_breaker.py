"""A circuit breaker: after failures in a row, calls to a server are refused for a while."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from tusou.core.errors import Unavailable

_log = logging.getLogger(__name__)

_MAX_FAILURES = 5
_PAUSE_SECONDS = 2.0


class CircuitBreaker:
    """Refuses calls after failures in a row, so that callers need not wait for each to fail.

    After a pause one call is let through: if it succeeds, calls are let through again, otherwise
    another pause begins. Safe to use from several threads.
    """

    def __init__(
        self,
        server: str,  # as the messages name it: "the index's server"
        error: type[Unavailable] = Unavailable,
        *,
        max_failures: int = _MAX_FAILURES,
        pause: float = _PAUSE_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._server, self._error = server, error
        self._max_failures, self._pause, self._clock = max_failures, pause, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._refused_until = 0.0  # on the clock; of meaning while open

    @property
    def is_open(self) -> bool:
        """Return whether the last calls have failed, and calls are refused."""
        return self._failures >= self._max_failures

    @contextmanager
    def call(self, *, probe: bool = False) -> Iterator[None]:
        """Count the block as a call, which fails if it raises the breaker's error.

        Raises that error, with the seconds to wait, instead of running the block while calls are
        refused. A `probe` is always let through.
        """
        if not probe:
            self._admit()
        try:
            yield
        except self._error as error:
            self._failed(error)
            raise
        self._succeeded()

    def _admit(self) -> None:
        with self._lock:
            if not self.is_open:
                return
            now = self._clock()
            if (wait := self._refused_until - now) > 0:
                error = self._error(f"{self._server} has failed several times in a row")
                error.retry_after = wait
                raise error
            self._refused_until = now + self._pause  # one call alone may try

    def _failed(self, error: Unavailable) -> None:
        with self._lock:
            self._failures += 1
            self._refused_until = self._clock() + self._pause
            if self._failures == self._max_failures:
                _log.warning("calls to %s are refused for a while: %s", self._server, error)
        error.retry_after = self._pause

    def _succeeded(self) -> None:
        with self._lock:
            if self.is_open:
                _log.warning("%s is back", self._server)
            self._failures = 0
