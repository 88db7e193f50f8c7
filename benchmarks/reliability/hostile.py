"""Hostile requests and mutated bytes against a service: statuses, errors, and forbidden outcomes.

python -m benchmarks.reliability.hostile
"""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import httpx

from benchmarks.record import record
from benchmarks.reliability.hostile_bytes import send_mutations
from benchmarks.reliability.hostile_requests import (
    MORE_REQUESTS,
    PUBLISHED_REQUESTS,
    HostileRequest,
)
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
    parser.add_argument("--full", action="store_true", help="100,000 mutations instead of 2,000")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    url = arguments.url
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if not url:
            bundle = demo_bundle(Path(folder), items=100)
            url = stack.enter_context(service(bundle)).url
        results = send_all(url)
        count = 100_000 if arguments.full else 2_000
        findings = asyncio.run(send_mutations(url, count, arguments.seed))
        alive = httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    for result in results:
        note = "" if result.as_expected else "  UNEXPECTED"
        milliseconds = result.seconds * 1000
        name = result.request.name
        print(f"{result.status} {result.code:<23}{milliseconds:8.1f} ms  {name}{note}")
    published, more = results[: len(PUBLISHED_REQUESTS)], results[len(PUBLISHED_REQUESTS) :]
    figures: dict[str, object] = {
        "the 35": summary(published),
        "more": summary(more),
        "mutations": {
            "sent": count,
            "seed": arguments.seed,
            "statuses": {str(status): n for status, n in sorted(findings.statuses.items())},
            "faults": +findings.faults,
            "slowest error, ms": round(findings.slowest_error * 1000, 1),
            "ready afterwards": alive,
        },
        "compared with": DEFAULTS,
    }
    record("reliability.hostile", figures, save=arguments.full)
    expected = all(result.as_expected for result in results)
    sys.exit(not expected or not alive or findings.faults.total() > 0)


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
