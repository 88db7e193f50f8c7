"""The spans of requests to a real server."""

import json
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from time import monotonic

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tusou_service.observability.tracing import SpanTracer, open_tracer

from tests.drawing import image_bytes
from tests.tusou_service.tiny import TinySource, running
from tusou.core.errors import BadImage

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "纯棉碎花吊带裙"
QUERY_STAGES = ["receive", "parse", "queue", "tokenise", "encode", "search", "respond"]


async def spans_of(
    source: TinySource, path: str, share: float = 1.0, **call: object
) -> tuple[httpx.Response, list[ReadableSpan]]:
    """Send one request to a server with tracing; return the response and the spans."""
    memory = InMemorySpanExporter()
    async with running(source, SpanTracer(memory, share)) as server, httpx.AsyncClient() as client:
        method = "GET" if not call.keys() & {"json", "content"} else "POST"
        response = await client.request(method, server.url + path, **call)  # type: ignore[arg-type]
    return response, list(memory.get_finished_spans())


def root_of(spans: list[ReadableSpan]) -> ReadableSpan:
    (root,) = [span for span in spans if span.attributes and "http.route" in span.attributes]
    return root


def stages_of(spans: list[ReadableSpan]) -> list[str]:
    children = [span for span in spans if span is not root_of(spans)]
    return [
        span.name for span in sorted(children, key=lambda span: (span.start_time, span.end_time))
    ]


async def test_each_stage_of_a_search_is_a_span(source: TinySource) -> None:
    headers = {"X-Request-Id": "mine", "X-Request-Timeout-Ms": "9000"}
    response, spans = await spans_of(source, "/search", json={"query": SECRET}, headers=headers)
    assert response.status_code == 200
    root = root_of(spans)
    assert root.name == "POST /search"
    assert dict(root.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/search",
        "http.response.status_code": 200,
        "tusou.request_id": "mine",
    }
    assert stages_of(spans) == QUERY_STAGES
    for span in spans:
        assert span is root or (span.parent and span.parent.span_id == root.context.span_id)
        assert root.start_time <= span.start_time
        # The other times are made up.
        if span.name in {"receive", "parse", "queue"}:
            assert span.start_time <= span.end_time <= root.end_time


async def test_spans_do_not_contain_the_query(source: TinySource) -> None:
    _, spans = await spans_of(source, "/search", json={"query": SECRET, "negative": SECRET})
    text = json.dumps([json.loads(span.to_json()) for span in spans], ensure_ascii=False)
    assert "POST /search" in text
    assert SECRET not in text


async def test_batched_stages_have_the_batch_size(source: TinySource) -> None:
    _, spans = await spans_of(source, "/search/batch", json={"queries": ["a", "b", "c"]})
    sizes = {span.name: (span.attributes or {}).get("tusou.batch_size") for span in spans}
    assert {sizes[name] for name in ("tokenise", "encode", "search")} == {3}
    assert sizes["queue"] is None


async def test_an_image_is_decoded_and_encoded(source: TinySource) -> None:
    body = {"image": b64encode(image_bytes(1)).decode(), "query": "a"}
    _, spans = await spans_of(
        source, "/search", json=body, headers={"X-Request-Timeout-Ms": "9000"}
    )
    assert stages_of(spans) == [
        *("receive", "parse", "decode", "load", "queue", "encode_image"),
        *("queue", "tokenise", "encode", "search", "respond"),
    ]


async def test_stages_do_not_overlap(source: TinySource) -> None:
    _, spans = await spans_of(source, "/v1/embeddings", json={"input": ["a"]})
    assert stages_of(spans) == ["receive", "parse", "queue", "encode", "respond"]
    root = root_of(spans)
    children = sorted(
        (span for span in spans if span is not root), key=lambda span: span.start_time
    )
    for before, after in pairwise(children):
        assert before.end_time <= after.start_time + 1_000  # a microsecond of rounding


async def test_a_trace_of_the_client_is_continued(source: TinySource) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    _, spans = await spans_of(source, "/search", 0.0, json={"query": "a"}, headers=headers)
    root = root_of(spans)
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}
    assert root.parent
    assert f"{root.parent.span_id:016x}" == PARENT


async def test_a_client_can_decide_against_sampling(source: TinySource) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    response, spans = await spans_of(source, "/search", json={"query": "a"}, headers=headers)
    assert (response.status_code, spans) == (200, [])


@pytest.mark.parametrize("invalid", ["", "00-0-0-01", "x" * 4000, f"00-{'0' * 32}-{PARENT}-01"])
async def test_an_invalid_traceparent_starts_a_new_trace(source: TinySource, invalid: str) -> None:
    headers = {"traceparent": invalid}
    _, spans = await spans_of(source, "/search", json={"query": "a"}, headers=headers)
    assert root_of(spans).parent is None


async def test_a_request_without_a_body_has_its_stages(source: TinySource) -> None:
    _, spans = await spans_of(source, "/info")
    assert stages_of(spans) == ["receive", "respond"]


async def test_probes_are_not_traced(source: TinySource) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        _, spans = await spans_of(source, path)
        assert spans == []


async def test_the_share_applies_to_requests_without_a_trace(source: TinySource) -> None:
    _, spans = await spans_of(source, "/search", 0.0, json={"query": "a"})
    assert spans == []


@pytest.mark.parametrize(
    ("body", "error", "status", "failed"),
    [
        pytest.param({"query": " "}, None, 422, False, id="refused"),
        pytest.param({"query": "a"}, ZeroDivisionError("bug"), 500, True, id="bug"),
        pytest.param({"query": "a"}, BadImage("not ours"), 422, False, id="batch"),
    ],
)
async def test_a_failed_request_has_the_spans_of_its_stages(
    source: TinySource, body: dict[str, str], error: Exception | None, status: int, failed: bool
) -> None:
    source.pipeline.error = error
    _, spans = await spans_of(source, "/search", json=body)
    root = root_of(spans)
    assert (root.attributes or {})["http.response.status_code"] == status
    assert (not root.status.is_ok) is failed
    assert stages_of(spans) == ["receive", "parse", "respond"]


class TraceCollector:
    """Receives OTLP over HTTP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        requests = self.requests

        class OtlpHandler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), OtlpHandler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"


@pytest.fixture
def collector() -> Iterator[TraceCollector]:
    collector = TraceCollector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


async def test_spans_reach_a_collector(source: TinySource, collector: TraceCollector) -> None:
    tracer = open_tracer(collector.url, 1.0)
    async with running(source, tracer) as server, httpx.AsyncClient() as client:
        await client.post(f"{server.url}/search", json={"query": "a"})
    (resource,) = [spans for request in collector.requests for spans in request.resource_spans]
    attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert attributes["service.name"] == "tusou"
    names = {span.name for scope in resource.scope_spans for span in scope.spans}
    assert names == {"POST /search", *QUERY_STAGES}


async def test_an_unreachable_collector_affects_no_request(source: TinySource) -> None:
    tracer = open_tracer("http://127.0.0.1:9/v1/traces", 1.0)
    async with running(source, tracer) as server, httpx.AsyncClient() as client:
        response = await client.post(f"{server.url}/search", json={"query": "a"})
        assert response.status_code == 200
        stopping = monotonic()
    assert monotonic() - stopping < 5


def test_opentelemetry_is_not_imported_unless_tracing_is_set() -> None:
    code = (
        "import sys; from tusou_service import factory\n"
        "from tusou_service.settings import Settings\n"
        "assert factory.make_tracer(Settings()) is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        f"sys.argv = ['tusou', 'serve', {str(tmp_path)!r}]\n"
        "from tusou.cli.main import main; main()"
    )
    environment = {"TUSOU_TRACING_ENDPOINT": "http://127.0.0.1:9/v1/traces"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("install tusou[otel]")
