"""What the service counts and measures, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tusou.answers import Answers

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One set of instruments with a registry of its own, so two apps never share a number."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "tusou_requests",
            "Requests answered; 499 is a client who left first.",
            ["route", "status"],
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "tusou_request_seconds",
            "Time from the headers of a request to the end of its answer.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self.batch_size = Histogram(
            "tusou_batch_size",
            "Queries answered by one pass of the model.",
            buckets=_BATCH_SIZES,
            registry=self._registry,
        )
        self.stage_seconds = Histogram(
            "tusou_stage_seconds",
            "Time a batch spent in a stage: tokenise, encode, search.",
            ["stage"],
            buckets=_STAGE_SECONDS,
            registry=self._registry,
        )
        self.cached_queries = Counter(
            "tusou_cached_queries",
            "Queries whose vector was remembered, of those that tusou_batch_size sums up.",
            registry=self._registry,
        )
        self.picture_batch_size = Histogram(
            "tusou_picture_batch_size",
            "Pictures of queries encoded by one pass of the model.",
            buckets=_BATCH_SIZES[:4],
            registry=self._registry,
        )
        self.picture_seconds = Histogram(
            "tusou_picture_seconds",
            "Time in a stage of pictures: decode (of each, with its wait), see (of a batch).",
            ["stage"],
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self.lost_decoders = Counter(
            "tusou_lost_decoders",
            "Decoding processes that a picture has ended.",
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
            "tusou_queue_depth", "Queries that wait for a batch.", registry=self._registry
        )
        self._ready = Gauge("tusou_ready", "1 when /readyz answers 200.", registry=self._registry)
        self._index = Gauge(
            "tusou_index_info", "The bundle version served.", ["version"], registry=self._registry
        )
        self._items = Gauge("tusou_items", "Items that can be found.", registry=self._registry)

    def watch(self, *, queue_depth: Callable[[], int], ready: Callable[[], bool]) -> None:
        """Read these two at every scrape."""
        self._queue_depth.set_function(queue_depth)
        self._ready.set_function(lambda: float(ready()))

    def observe_batch(self, size: int, answers: Answers) -> None:
        """Record one pass of the model; called from its thread."""
        times = answers.times
        self.batch_size.observe(size)
        self.cached_queries.inc(answers.remembered)
        self.stage_seconds.labels("tokenise").observe(times.tokenise)
        self.stage_seconds.labels("encode").observe(times.encode)
        self.stage_seconds.labels("search").observe(times.search)

    def serve_index(self, version: str, items: int) -> None:
        """Say which bundle version is served from now on."""
        self._index.clear()
        self._index.labels(version).set(1)
        self._items.set(items)

    def expose(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
