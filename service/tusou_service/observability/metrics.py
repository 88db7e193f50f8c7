"""Metrics of the service, for Prometheus."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tusou_service.observability.process_metrics import ProcessMetrics

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2)
_SHARES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ServedVersion(NamedTuple):
    """A bundle version that is served, and what encodes its queries."""

    version: str
    item_count: int
    query_encoder: str


class Metrics:
    """The instruments of one application, in a registry of their own.

    If PROMETHEUS_MULTIPROC_DIR is set, a scrape covers all workers.
    """

    def __init__(self) -> None:
        registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self.requests = counter(
            "tusou_requests",
            "Requests by response; status 499: the client disconnected first.",
            ["route", "status"],
        )
        self.request_seconds = histogram(
            "tusou_request_seconds",
            "Time from the headers of a request to the end of its response.",
            ["route"],
            buckets=_REQUEST_SECONDS,
        )
        self.arm_requests = counter(
            "tusou_arm_requests",
            "Search requests by arm of the experiment.",
            ["arm", "status"],
        )
        self.arm_seconds = histogram(
            "tusou_arm_seconds",
            "Time of search requests by arm of the experiment.",
            ["arm"],
            buckets=_REQUEST_SECONDS,
        )
        self.batch_size = histogram(
            "tusou_batch_size",
            "Queries in a batch.",
            ["arm"],
            buckets=_BATCH_SIZES,
        )
        self.stage_seconds = histogram(
            "tusou_stage_seconds",
            "Time of a batch in a stage: tokenise, encode, adjust, search; of a query in rerank.",
            ["arm", "stage"],
            buckets=_STAGE_SECONDS,
        )
        self.cached_queries = counter(
            "tusou_cached_queries",
            "Queries, among those of tusou_batch_size, whose vector came from the cache.",
            ["arm"],
        )
        self.reranks = counter(
            "tusou_reranks",
            "Reranked queries by outcome: complete, partial (the time limit), failed.",
            ["arm", "outcome"],
        )
        self.image_batch_size = histogram(
            "tusou_image_batch_size",
            "Query images in a batch.",
            buckets=_BATCH_SIZES[:4],
        )
        self.image_seconds = histogram(
            "tusou_image_seconds",
            "Time of query images in a stage: decode (one, with its wait), encode (a batch).",
            ["stage"],
            buckets=_REQUEST_SECONDS,
        )
        self.lost_decoders = counter(
            "tusou_lost_decoders",
            "Decoder processes that crashed on an image.",
        )
        self.cancelled = counter(
            "tusou_cancelled",
            "Searches cancelled because their client disconnected.",
        )
        self.reloads = counter(
            "tusou_reloads",
            "Reloads by result: swapped, unchanged, failed.",
            ["result"],
        )
        self.changes = counter(
            "tusou_changes",
            "Changes of items by result: applied, invalid, refused (the disk is full or failing).",
            ["result"],
        )
        self._queue_depth = gauge(
            "tusou_queue_depth",
            "Queries that wait for a batch.",
            ["arm"],
            multiprocess_mode="livesum",
        )
        self._ready = gauge(
            "tusou_ready",
            "1 if /readyz returns 200, in all workers.",
            multiprocess_mode="livemin",
        )
        self._collection_behind = gauge(
            "tusou_collection_behind",
            "Changes in the log that the collection of the index does not have yet.",
            multiprocess_mode="livesum",
        )
        self.shadowed = counter(
            "tusou_shadow_queries",
            "Queries for the shadow bundle: compared, dropped, unanswered, failed.",
            ["result"],
        )
        self.shadow_overlap = histogram(
            "tusou_shadow_overlap",
            "Share of a query's items that the shadow bundle returned too.",
            buckets=_SHARES,
        )
        self._process = ProcessMetrics(registry)
        # Read at every refresh: the queue depth of each arm, whether the service is ready, and how
        # many changes its collection lacks.
        self.depths: dict[str, Callable[[], int]] = {}
        self.is_ready: Callable[[], bool] = lambda: False
        self.collection_behind: Callable[[], int] = lambda: 0
        self.served: dict[str, ServedVersion] = {}  # by arm
        self._exposed = _registry_of_all_workers() or registry
        self._exposed.register(_ServedVersions(self.served))

    def refresh(self) -> None:
        """Set the gauges. A scrape does it too, but only in the worker that answers it."""
        for arm, depth in self.depths.items():
            self._queue_depth.labels(arm).set(depth())
        self._ready.set(self.is_ready())
        self._collection_behind.set(self.collection_behind())
        self._process.refresh()

    def expose(self) -> bytes:
        """Return the metrics of all workers in Prometheus's text format."""
        self.refresh()
        return generate_latest(self._exposed)


class _ServedVersions(Collector):
    """The bundle versions of the worker that answers the scrape."""

    def __init__(self, served: dict[str, ServedVersion]) -> None:
        self._served = served

    def collect(self) -> Iterator[Metric]:
        index = GaugeMetricFamily(
            "tusou_index_info", "The bundle version served.", labels=["arm", "version"]
        )
        items = GaugeMetricFamily("tusou_items", "Items in the index.", labels=["arm"])
        encoders = GaugeMetricFamily(
            "tusou_query_encoder_info",
            "What encodes the texts of queries: the bundle's model, or a student of it.",
            labels=["arm", "encoder"],
        )
        for arm, served in self._served.items():
            index.add_metric([arm, served.version], 1)
            items.add_metric([arm], served.item_count)
            encoders.add_metric([arm, served.query_encoder], 1)
        yield index
        yield items
        yield encoders


def _registry_of_all_workers() -> CollectorRegistry | None:
    """Return a registry of all workers' files; None if this process is the only one."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:  # PROMETHEUS_MULTIPROC_DIR is not set
        return None
    return registry
