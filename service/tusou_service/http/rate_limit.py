"""Rate limits: one token bucket for each client."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from tusou.core.errors import RateLimited

# Bounds the memory: the client that has been idle longest is forgotten first.
MAX_CLIENTS = 10_000


class RateLimiter:
    """Lets each client send `burst` requests at once and `per_second` in the long run."""

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        # Tokens of each client and when they were counted; the most recent client is last.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, client: str) -> None:
        """Take a token of this client; raise RateLimited if it has none."""
        now = self._clock()
        tokens, since = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        admitted = tokens >= 1
        self._buckets[client] = (tokens - admitted, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not admitted:
            error = RateLimited("Too many requests.")
            error.retry_after = (1 - tokens) / self._per_second
            raise error
