"""A fair share for each client: token buckets, one a client."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from tusou.core.errors import RateLimited
from tusou_service.http.limits import RequestLimits

# Enough for every client of a while; bounded, so that the limiter cannot be made a leak.
MAX_CLIENTS = 10_000


class RateLimitExceeded(RateLimited):
    """This client has used up its share; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("Too many requests.")
        self.retry_after = retry_after


class RateLimiter:
    """Lets each client ask `burst` times at once and `per_second` times in the long run."""

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        # What each client had left, and when; the one seen last is at the end.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, client: str) -> None:
        """Count one request of this client, or raise RateLimitExceeded."""
        now = self._clock()
        left, since = self._left.pop(client, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._left[client] = (left - allowed, now)
        if len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        if not allowed:
            raise RateLimitExceeded((1 - left) / self._per_second)


def make_rate_limiter(limits: RequestLimits) -> RateLimiter | None:
    """Return what these limits ask for, if they ask for it."""
    if limits.rate_per_second <= 0:
        return None
    return RateLimiter(limits.rate_per_second, limits.rate_burst)
