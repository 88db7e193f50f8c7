"""Traces for OpenTelemetry: a span for each request, and under it one for each of its stages."""

from collections.abc import Mapping
from threading import Thread
from time import perf_counter, perf_counter_ns, time_ns

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace import Tracer as Spans
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tusou import __version__
from tusou_service.observability.stages import StageTiming, follow

# One try of the exporter, its repeats included; and what the end of the process waits for them all.
_EXPORT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0


def open_tracer(endpoint: str, share: float) -> "SpanTracer":
    """Send traces to an OTLP/HTTP address, of this share of the requests that bring no trace."""
    return SpanTracer(OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS), share)


class SpanTracer:
    """Turns followed requests into spans, which a thread of the SDK sends in bundles.

    Nothing waits for it: when spans come faster than they can be sent, some are dropped. Spans
    hold names, numbers and the request id, never what was asked.
    """

    def __init__(self, exporter: SpanExporter, share: float = 1.0) -> None:
        ours = Resource({"service.name": "tusou", "service.version": __version__})
        self._provider = TracerProvider(
            # W3C: whoever sends a traceparent has decided whether this request is recorded.
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=ours.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._spans = self._provider.get_tracer("tusou", __version__)
        self._incoming = TraceContextTextMapPropagator()

    def begin(self, headers: Mapping[str, str], began: float) -> "SpanTrace | None":
        """Follow a request, as part of the trace that its `traceparent` names."""
        parent = self._incoming.extract(headers)
        # Stages are timed by a clock that never jumps; spans carry the time of day.
        epoch = time_ns() - perf_counter_ns()
        start = _at(began, epoch)
        span = self._spans.start_span("request", parent, SpanKind.SERVER, start_time=start)
        return SpanTrace(self._spans, span, began, epoch) if span.is_recording() else None

    def close(self) -> None:
        """Send what is left; a collector that does not answer is not waited for."""
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class SpanTrace:
    """One request's span; its stages become spans when it ends, from the times they recorded."""

    def __init__(self, spans: Spans, span: Span, began: float, epoch: int) -> None:
        self._spans, self._span = spans, span
        self._began, self._epoch = began, epoch
        self._stages = follow()

    @property
    def id(self) -> str:
        """Name the trace."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def end(self, *, method: str, route: str, status: int, request_id: str) -> None:
        """End the span and make those of the stages; what came after the last is the answer."""
        worked_until = max((stage.ended for stage in self._stages), default=self._began)
        self._stages.append(StageTiming("respond", worked_until, perf_counter()))
        parent, epoch = set_span_in_context(self._span), self._epoch
        for stage in self._stages:
            child = self._spans.start_span(stage.name, parent, start_time=_at(stage.began, epoch))
            if stage.batch:
                child.set_attribute("tusou.batch_size", stage.batch)
            child.end(_at(stage.ended, epoch))
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
        self._span.end(_at(perf_counter(), epoch))


def _at(moment: float, epoch: int) -> int:
    return int(moment * 1e9) + epoch
