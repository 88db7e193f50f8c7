"""A circuit breaker: after failures in a row, calls to a server are refused for a while."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from tusou.core.errors import IndexUnavailable

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
        max_failures: int = _MAX_FAILURES,
        pause: float = _PAUSE_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
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
        """Count the block as a call, which fails if it raises IndexUnavailable.

        Raises IndexUnavailable, with the seconds to wait, instead of running the block while calls
        are refused. A `probe` is always let through.
        """
        if not probe:
            self._admit()
        try:
            yield
        except IndexUnavailable as error:
            self._failed(error)
            raise
        self._succeeded()

    def _admit(self) -> None:
        with self._lock:
            if not self.is_open:
                return
            now = self._clock()
            if (wait := self._refused_until - now) > 0:
                error = IndexUnavailable("the index's server has failed several times in a row")
                error.retry_after = wait
                raise error
            self._refused_until = now + self._pause  # one call alone may try

    def _failed(self, error: IndexUnavailable) -> None:
        with self._lock:
            self._failures += 1
            self._refused_until = self._clock() + self._pause
            if self._failures == self._max_failures:
                _log.warning("searches are refused: %s", error)
        error.retry_after = self._pause

    def _succeeded(self) -> None:
        with self._lock:
            if self.is_open:
                _log.warning("the index's server is back")
            self._failures = 0
