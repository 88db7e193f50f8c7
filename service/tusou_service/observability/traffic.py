"""Counters and timings of HTTP requests."""

from prometheus_client import CollectorRegistry, Counter, Histogram

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Traffic:
    """The instruments of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "tusou_requests",
            "Requests answered; 499 is a client who left first.",
            ["route", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "tusou_request_seconds",
            "Time from the headers of a request to the end of its answer.",
            ["route"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._arm_requests = Counter(
            "tusou_arm_requests",
            "Searches answered by each of two bundles.",
            ["arm", "status"],
            registry=registry,
        )
        self._arm_seconds = Histogram(
            "tusou_arm_seconds",
            "Time of these searches.",
            ["arm"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Record an answer."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def observe_arm(self, arm: str, status: int, seconds: float) -> None:
        """Record a search that one of two bundles was chosen for."""
        self._arm_requests.labels(arm, str(status)).inc()
        self._arm_seconds.labels(arm).observe(seconds)
