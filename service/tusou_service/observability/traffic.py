"""What is counted of requests, in every process that speaks HTTP, and the sum over them."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Families: TypeAlias = list[Metric]


class Traffic:
    """The instruments of one process's requests."""

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


class Sum:
    """Families of several processes as one, to be exposed like a registry.

    A counter is the sum of all; the time of its creation, the earliest.
    """

    def __init__(self, parts: Iterable[Families]) -> None:
        self._parts = list(parts)

    def collect(self) -> Iterator[Metric]:
        """Yield each family once."""
        families: dict[str, Metric] = {}
        samples: dict[str, dict[tuple[object, ...], Sample]] = {}
        for one in (family for part in self._parts for family in part):
            families.setdefault(one.name, one)
            known = samples.setdefault(one.name, {})
            for sample in one.samples:
                key = (sample.name, *sorted(sample.labels.items()))
                known[key] = _joined(known[key], sample) if key in known else sample
        for name, first in families.items():
            total = Metric(name, first.documentation, first.type, first.unit)
            total.samples = list(samples[name].values())
            yield total


def _joined(one: Sample, other: Sample) -> Sample:
    created = one.name.endswith("_created")
    value = min(one.value, other.value) if created else one.value + other.value
    return one._replace(value=value)
