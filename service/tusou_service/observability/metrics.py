"""Metrics of the service, for Prometheus."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2)
_SHARES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The instruments of one application, in a registry of their own.

    If PROMETHEUS_MULTIPROC_DIR is set, a scrape covers all workers.
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.requests = Counter(
            "tusou_requests",
            "Requests by response; status 499: the client disconnected first.",
            ["route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "tusou_request_seconds",
            "Time from the headers of a request to the end of its response.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self.arm_requests = Counter(
            "tusou_arm_requests",
            "Search requests by arm of the experiment.",
            ["arm", "status"],
            registry=registry,
        )
        self.arm_seconds = Histogram(
            "tusou_arm_seconds",
            "Time of search requests by arm of the experiment.",
            ["arm"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "tusou_batch_size",
            "Queries in a batch.",
            ["arm"],
            buckets=_BATCH_SIZES,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "tusou_stage_seconds",
            "Time of a batch in a stage: tokenise, encode, search.",
            ["arm", "stage"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self.cached_queries = Counter(
            "tusou_cached_queries",
            "Queries, among those of tusou_batch_size, whose vector came from the cache.",
            ["arm"],
            registry=registry,
        )
        self.image_batch_size = Histogram(
            "tusou_image_batch_size",
            "Query images in a batch.",
            buckets=_BATCH_SIZES[:4],
            registry=registry,
        )
        self.image_seconds = Histogram(
            "tusou_image_seconds",
            "Time of query images in a stage: decode (one, with its wait), encode (a batch).",
            ["stage"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self.lost_decoders = Counter(
            "tusou_lost_decoders",
            "Decoder processes that crashed on an image.",
            registry=registry,
        )
        self.cancelled = Counter(
            "tusou_cancelled",
            "Searches cancelled because their client disconnected.",
            registry=registry,
        )
        self.reloads = Counter(
            "tusou_reloads",
            "Reloads by result: swapped, unchanged, failed.",
            ["result"],
            registry=registry,
        )
        self._queue_depth = Gauge(
            "tusou_queue_depth",
            "Queries that wait for a batch.",
            ["arm"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._ready = Gauge(
            "tusou_ready",
            "1 if /readyz returns 200, in all workers.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.shadowed = Counter(
            "tusou_shadow_queries",
            "Queries for the shadow bundle: compared, dropped, unanswered, failed.",
            ["result"],
            registry=registry,
        )
        self.shadow_overlap = Histogram(
            "tusou_shadow_overlap",
            "Share of a query's items that the shadow bundle returned too.",
            buckets=_SHARES,
            registry=registry,
        )
        self._depths: dict[str, Callable[[], int]] = {}
        self._is_ready: Callable[[], bool] = lambda: False
        self._versions = _ServedVersions()
        self._exposed = _registry_of_all_workers() or registry
        self._exposed.register(self._versions)

    def watch_queue(self, arm: str, depth: Callable[[], int]) -> None:
        """Read an arm's queue depth at every refresh."""
        self._depths[arm] = depth

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Read whether the service is ready at every refresh."""
        self._is_ready = ready

    def refresh(self) -> None:
        """Set the gauges. A scrape does it too, but only in the worker that answers it."""
        for arm, depth in self._depths.items():
            self._queue_depth.labels(arm).set(depth())
        self._ready.set(self._is_ready())

    def set_served_version(self, arm: str, version: str, item_count: int) -> None:
        self._versions.served[arm] = (version, item_count)

    def expose(self) -> bytes:
        """Return the metrics of all workers in Prometheus's text format."""
        self.refresh()
        return generate_latest(self._exposed)


class _ServedVersions(Collector):
    """The bundle versions of the worker that answers the scrape."""

    def __init__(self) -> None:
        self.served: dict[str, tuple[str, int]] = {}  # version and item count, by arm

    def collect(self) -> Iterator[Metric]:
        index = GaugeMetricFamily(
            "tusou_index_info", "The bundle version served.", labels=["arm", "version"]
        )
        items = GaugeMetricFamily("tusou_items", "Items in the index.", labels=["arm"])
        for arm, (version, count) in self.served.items():
            index.add_metric([arm, version], 1)
            items.add_metric([arm], count)
        yield index
        yield items


def _registry_of_all_workers() -> CollectorRegistry | None:
    """Return a registry of all workers' files; None if this process is the only one."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:  # PROMETHEUS_MULTIPROC_DIR is not set
        return None
    return registry
