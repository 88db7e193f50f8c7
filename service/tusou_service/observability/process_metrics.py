"""The usual `process_*` metrics, summed over all workers."""

from time import monotonic
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.metrics_core import Metric

# Reading them lists the open files, of which a busy service has thousands.
_REFRESH_SECONDS = 1.0


class ProcessMetrics:
    """Processor time, memory and open files of this process, as instruments of a registry.

    prometheus_client's own collector covers only the worker that answers the scrape; instruments
    are summed over workers. Without /proc, there are no metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._collector = ProcessCollector(registry=None)
        self._instruments = {
            metric.name: _instrument(metric, registry) for metric in self._collector.collect()
        }
        self._processor_seconds = 0.0
        self._next_refresh = 0.0

    def refresh(self) -> None:
        """Read the values of this process, at most once a second."""
        if monotonic() < self._next_refresh:
            return
        self._next_refresh = monotonic() + _REFRESH_SECONDS
        for metric in self._collector.collect():
            instrument, value = self._instruments[metric.name], metric.samples[0].value
            if isinstance(instrument, Gauge):
                instrument.set(value)
            else:
                instrument.inc(value - self._processor_seconds)
                self._processor_seconds = value


def _instrument(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge:
    if metric.type == "counter":
        return Counter(metric.name, metric.documentation, registry=registry)
    mode: Literal["livemin", "livesum"] = "livesum"
    if metric.name == "process_start_time_seconds":
        mode = "livemin"
    return Gauge(metric.name, metric.documentation, registry=registry, multiprocess_mode=mode)
