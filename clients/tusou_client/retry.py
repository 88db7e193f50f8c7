"""Retries: exponential backoff with full jitter, deadlines and a retry budget."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tusou_client.errors import BadReply, ClientError

# The retries that may be spent before any is earned, and the most that are saved up.
_RESERVE = 10.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of one call's tries. All times in seconds, measured on a monotonic clock."""

    timeout: float = 10.0  # one try; also sent to the service
    deadline: float = 30.0  # all tries of one call together
    tries: int | None = 5  # None: until the deadline
    bad_replies: int = 5  # garbled or misshapen replies among the tries
    base: float = 0.1  # the n-th pause is drawn from 0 .. base * 2^n ...
    cap: float = 5.0  # ... but never more than this
    budget: float | None = 0.1  # retries per call over a client's life; None: unlimited


class RetryBudget:
    """Keeps the retries of all calls below a share of the calls.

    Each call earns `ratio` of a retry. A reserve may be spent before any is earned: a program with
    a single call still retries, and many clients together do not overload a failing service.
    """

    def __init__(self, ratio: float | None) -> None:
        self._ratio = ratio
        self._left = _RESERVE

    def earn(self) -> None:
        if self._ratio is not None:
            self._left = min(self._left + self._ratio, _RESERVE)

    def spend(self) -> bool:
        """Take one retry; return whether there was one."""
        if self._ratio is None:
            return True
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Attempts:
    """The tries of one call; opens no connection and never sleeps."""

    def __init__(
        self,
        policy: RetryPolicy,
        budget: RetryBudget,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._policy, self._budget, self._clock, self._draw = policy, budget, clock, draw
        self._deadline = clock() + policy.deadline
        self._tries = self._bad_replies = 0
        budget.earn()

    def timeout(self) -> float:
        """Return the seconds that the next try may take."""
        return max(0.001, min(self._policy.timeout, self._deadline - self._clock()))

    def pause_after(self, error: ClientError) -> float:
        """Return the seconds to wait before the next try; raise the error if it was the last."""
        longest = min(self._policy.cap, self._policy.base * 2.0 ** min(self._tries, 30))
        pause = self._draw(0.0, longest) + (error.retry_after or 0.0)
        self._tries += 1
        self._bad_replies += isinstance(error, BadReply)
        if not self._may_retry(error, pause):
            error.tries = self._tries
            raise error
        return pause

    def _may_retry(self, error: ClientError, pause: float) -> bool:
        policy = self._policy
        return (
            error.transient
            and (policy.tries is None or self._tries < policy.tries)
            and self._bad_replies < policy.bad_replies
            and self._clock() + pause < self._deadline
            and self._budget.spend()
        )
