"""The cost of tracing, on and off.

python -m benchmarks.tracing
"""

import argparse
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from timeit import timeit

import httpx
from tusou_service.observability.stages import RECORDER

from benchmarks.record import record
from benchmarks.running import demo_bundle, service

ROUNDS = 1500
TEXTS = ("纯棉碎花吊带裙", "红色碎花连衣裙", "男士黑色皮鞋", "不锈钢双耳汤锅")


def main() -> None:
    """Time searches of a service without tracing and of one with it, in turn, and record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, collector() as endpoint:
        bundle = demo_bundle(Path(folder), items=300)
        with service(bundle) as off, service(bundle, TUSOU_TRACING_ENDPOINT=endpoint) as on:
            times: dict[str, list[float]] = {"off": [], "on": []}
            with httpx.Client(trust_env=False) as client:
                for turn in range(ROUNDS):
                    for name, url in (("off", off.url), ("on", on.url)):
                        body = {"query": TEXTS[turn % 4]}
                        started = perf_counter()
                        client.post(f"{url}/search", json=body).raise_for_status()
                        times[name].append(perf_counter() - started)
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    recording = recording_seconds_when_off()
    record(
        "tracing",
        {
            "searches of each service": ROUNDS,
            "tracing off, median ms": round(median["off"] * 1000, 3),
            "tracing on, median ms": round(median["on"] * 1000, 3),
            "cost of recording stages when off, microseconds": round(recording * 1e6, 2),
            "share of a search": round(recording / median["off"], 6),
        },
    )


def recording_seconds_when_off() -> float:
    """Return the seconds that recording the stages of an untraced search takes."""

    def one_search() -> None:
        for stage in ("receive", "parse"):
            if recorder := RECORDER.get():
                recorder.record(stage, perf_counter())
        batch = [RECORDER.get()]
        stages = (("tokenise", 0.0), ("encode", 0.0), ("search", 0.0))
        for recorder in {recorder for recorder in batch if recorder}:
            recorder.record_batch(perf_counter(), 0.0, len(batch), stages)

    return min(timeit(one_search, number=10_000) for _ in range(5)) / 10_000


@contextmanager
def collector() -> Iterator[str]:
    """Run a trace collector that discards what it receives, and yield its address."""

    class DiscardHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), DiscardHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
        server.shutdown()


if __name__ == "__main__":
    main()
