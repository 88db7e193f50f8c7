"""OpenTelemetry traces: a span for each request, with a child span for each of its stages."""

from collections.abc import Mapping
from threading import Thread
from time import perf_counter, perf_counter_ns, time_ns

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace import Tracer as SpanFactory
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tusou import __version__
from tusou_service.observability.stages import RECORDER, StageRecorder, StageTiming

_EXPORT_SECONDS = 5.0  # of one export, with its retries
_CLOSE_SECONDS = 2.0  # that the end of the process waits for all exports


def open_tracer(endpoint: str, share: float) -> "SpanTracer":
    """Return a tracer that sends to an OTLP/HTTP address.

    It samples this share of the requests without a `traceparent` header.
    """
    return SpanTracer(OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS), share)


class SpanTracer:
    """Turns requests into spans, which a thread of the SDK sends in batches.

    Requests never wait for it: spans that arrive faster than they can be sent are dropped. Spans
    hold names, numbers and the request id, never a query.
    """

    def __init__(self, exporter: SpanExporter, share: float = 1.0) -> None:
        resource = Resource({"service.name": "tusou", "service.version": __version__})
        self._provider = TracerProvider(
            # W3C: the sender of a `traceparent` decides whether the request is sampled.
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=resource.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._span_factory = self._provider.get_tracer("tusou", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Mapping[str, str], started: float) -> "SpanTrace | None":
        """Trace this task's request, as part of the trace of its `traceparent` header."""
        parent = self._propagator.extract(headers)
        # Stages are timed by a monotonic clock; spans carry the time of day.
        epoch = time_ns() - perf_counter_ns()
        start = _nanoseconds(started, epoch)
        span = self._span_factory.start_span("request", parent, SpanKind.SERVER, start_time=start)
        return SpanTrace(self._span_factory, span, started, epoch) if span.is_recording() else None

    def close(self) -> None:
        """Send the remaining spans; do not wait for a collector that does not respond."""
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class SpanTrace:
    """The span of one request; when it ends, its recorded stages become child spans."""

    def __init__(self, factory: SpanFactory, span: Span, started: float, epoch: int) -> None:
        self._factory, self._span = factory, span
        self._started, self._epoch = started, epoch
        self._recorder = StageRecorder()
        RECORDER.set(self._recorder)

    @property
    def id(self) -> str:
        """The trace id in 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def end(self, *, method: str, route: str, status: int, request_id: str) -> None:
        """End the span and create those of the stages; the time after the last one is `respond`."""
        stages = list(self._recorder.stages)
        responding = max((stage.ended for stage in stages), default=self._started)
        stages.append(StageTiming("respond", responding, perf_counter()))
        parent, epoch = set_span_in_context(self._span), self._epoch
        for stage in stages:
            start = _nanoseconds(stage.started, epoch)
            child = self._factory.start_span(stage.name, parent, start_time=start)
            if stage.batch_size:
                child.set_attribute("tusou.batch_size", stage.batch_size)
            child.end(_nanoseconds(stage.ended, epoch))
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "tusou.request_id": request_id,
            }
        )
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end(_nanoseconds(perf_counter(), epoch))


def _nanoseconds(seconds: float, epoch: int) -> int:
    """Return a time of `perf_counter` in nanoseconds since 1970."""
    return int(seconds * 1e9) + epoch
