"""Hostile requests against a service: statuses, slowest response, largest error, 5xx.

python -m benchmarks.hostile
"""

import argparse
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx

from benchmarks.hostile_requests import MORE_REQUESTS, PUBLISHED_REQUESTS, HostileRequest
from benchmarks.record import record
from benchmarks.running import demo_bundle, service

# FastAPI 0.165.0 with an ordinary pydantic model and its own error responses; another machine.
DEFAULTS = "FastAPI's defaults: 10 of the 35 answered 500, largest error 10 MB, slowest 1.47 s"


@dataclass(frozen=True, slots=True)
class HostileResult:
    """One request and its response."""

    request: HostileRequest
    status: int
    code: str
    size: int  # of the response body, in bytes
    seconds: float

    @property
    def as_expected(self) -> bool:
        return (self.status, self.code) == (self.request.status, self.request.code)


def main() -> None:
    """Run and record; exit with 1 if a response is unexpected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running service; by default one is started")
    url = parser.parse_args().url
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if not url:
            bundle = demo_bundle(Path(folder), items=100)
            url = stack.enter_context(service(bundle)).url
        results = send_all(url)
    for result in results:
        note = "" if result.as_expected else "  UNEXPECTED"
        milliseconds = result.seconds * 1000
        name = result.request.name
        print(f"{result.status} {result.code:<23}{milliseconds:8.1f} ms  {name}{note}")
    published, more = results[: len(PUBLISHED_REQUESTS)], results[len(PUBLISHED_REQUESTS) :]
    figures: dict[str, object] = {
        "the 35": summary(published),
        "more": summary(more),
        "compared with": DEFAULTS,
    }
    record("hostile", figures)
    sys.exit(not all(result.as_expected for result in results))


def send_all(url: str) -> list[HostileResult]:
    """Send every request once."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        client.get("/healthz").raise_for_status()
        return [_send(client, request) for request in (*PUBLISHED_REQUESTS, *MORE_REQUESTS)]


def _send(client: httpx.Client, request: HostileRequest) -> HostileResult:
    headers = {"Content-Type": request.content_type, "Content-Encoding": request.content_encoding}
    present = {name: value for name, value in headers.items() if value}
    started = perf_counter()
    response = client.post(request.path, content=request.body, headers=present)
    seconds = perf_counter() - started
    code = response.json().get("code", "")
    return HostileResult(request, response.status_code, code, len(response.content), seconds)


def summary(results: list[HostileResult]) -> dict[str, object]:
    """Return the counts of statuses, and the largest and slowest error responses."""
    statuses = Counter(result.status for result in results)
    errors = [result for result in results if result.status >= 400]
    return {
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "5xx": sum(count for status, count in statuses.items() if status >= 500),
        "unexpected": sum(not result.as_expected for result in results),
        "largest error, bytes": max(result.size for result in errors),
        "slowest error, ms, with its upload": round(
            max(result.seconds for result in errors) * 1000, 1
        ),
    }


if __name__ == "__main__":
    main()
