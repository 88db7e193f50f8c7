"""What the service counts and measures, for Prometheus."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tusou.retrieval.results import SearchResults
from tusou_service.observability.traffic import REQUEST_SECONDS, Traffic

_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2)
_SHARES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One set of instruments with a registry of its own, so two apps never share a number."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.traffic = Traffic(self._registry)
        self.batch_size = Histogram(
            "tusou_batch_size",
            "Queries answered by one pass of the model.",
            ["arm"],
            buckets=_BATCH_SIZES,
            registry=self._registry,
        )
        self.stage_seconds = Histogram(
            "tusou_stage_seconds",
            "Time a batch spent in a stage: tokenise, encode, search.",
            ["arm", "stage"],
            buckets=_STAGE_SECONDS,
            registry=self._registry,
        )
        self.cached_queries = Counter(
            "tusou_cached_queries",
            "Queries whose vector was remembered, of those that tusou_batch_size sums up.",
            ["arm"],
            registry=self._registry,
        )
        self.image_batch_size = Histogram(
            "tusou_image_batch_size",
            "Images of queries encoded by one pass of the model.",
            buckets=_BATCH_SIZES[:4],
            registry=self._registry,
        )
        self.image_seconds = Histogram(
            "tusou_image_seconds",
            "Time in a stage of images: decode (of each, with its wait), see (of a batch).",
            ["stage"],
            buckets=REQUEST_SECONDS,
            registry=self._registry,
        )
        self.lost_decoders = Counter(
            "tusou_lost_decoders",
            "Decoding processes that an image has ended.",
            registry=self._registry,
        )
        self.cancelled = Counter(
            "tusou_cancelled",
            "Searches dropped because their client left.",
            registry=self._registry,
        )
        self.reloads = Counter(
            "tusou_reloads",
            "Reloads by result: swapped, unchanged, failed.",
            ["result"],
            registry=self._registry,
        )
        self._queue_depth = Gauge(
            "tusou_queue_depth",
            "Queries that wait for a batch.",
            ["arm"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._ready = Gauge(
            "tusou_ready",
            "1 when /readyz answers 200, in all workers.",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._depths: dict[str, Callable[[], int]] = {}
        self._is_ready: Callable[[], bool] = lambda: False
        self._versions = _ServedVersions()
        self._exposed = _registry_of_all_workers() or self._registry
        self._exposed.register(self._versions)
        self.shadowed = Counter(
            "tusou_shadow_queries",
            "Queries for the bundle in the shadow: compared, dropped, unanswered, failed.",
            ["result"],
            registry=self._registry,
        )
        self.shadow_overlap = Histogram(
            "tusou_shadow_overlap",
            "Share of a query's items that the bundle in the shadow returned too.",
            buckets=_SHARES,
            registry=self._registry,
        )

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

    def observe_batch(self, arm: str, size: int, answers: SearchResults) -> None:
        """Record one pass of the model; called from its thread."""
        times = answers.times
        self.batch_size.labels(arm).observe(size)
        self.cached_queries.labels(arm).inc(answers.cache_hits)
        self.stage_seconds.labels(arm, "tokenise").observe(times.tokenise)
        self.stage_seconds.labels(arm, "encode").observe(times.encode)
        self.stage_seconds.labels(arm, "search").observe(times.search)

    def serve_index(self, arm: str, version: str, items: int) -> None:
        """Set the bundle version that an arm serves."""
        self._versions.served[arm] = (version, items)

    def expose(self) -> bytes:
        """Return everything, of all workers, in Prometheus's text format."""
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
        items = GaugeMetricFamily("tusou_items", "Items that can be found.", labels=["arm"])
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
