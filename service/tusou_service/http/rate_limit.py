"""Rate limits: one token bucket for each client."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from tusou.core.errors import RateLimited

# Bounds the memory: the client that has been idle longest is forgotten first.
MAX_CLIENTS = 10_000


class RateLimiter:
    """Lets each client send `burst` queries at once and `per_second` in the long run.

    A batch larger than the remaining tokens is admitted; the client's later calls wait for them.
    """

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        # Tokens of each client and when they were counted; the most recent client is last.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, client: str) -> None:
        """Take a token of this client; raise RateLimited if it has none."""
        tokens = self._take(client, 0)
        if tokens < 1:
            error = RateLimited("Too many requests.")
            error.retry_after = (1 - tokens) / self._per_second
            raise error
        self._take(client, 1)

    def charge(self, client: str, count: int) -> None:
        """Take more tokens of an admitted client, even if it owes them then."""
        self._take(client, count)

    def _take(self, client: str, count: int) -> float:
        """Take tokens, and return how many are left: negative if some are owed."""
        now = self._clock()
        tokens, since = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second) - count
        self._buckets[client] = (tokens, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return tokens
