"""The hostile bodies against a running service: statuses, slowest, largest error, count of 5xx.

    python -m benchmarks.hostile [URL]

FastAPI's defaults with a plain pydantic model (0.165.0, on another machine) answered the same 35:
10 with 500, one with an error of 10 MB, the slowest after 1.47 s.
"""

import sys
from collections import Counter
from time import perf_counter

import httpx

from benchmarks.running import machine
from tests.service.hostile import APPENDIX, MORE, Hostile


def main() -> None:
    """Send every body once; print a line each and the sums."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
    print(machine())
    unexpected = 0
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/healthz").raise_for_status()
        for title, bodies in (("the 35", APPENDIX), ("more", MORE)):
            unexpected += _report(title, [(body, *_send(client, body)) for body in bodies])
    sys.exit(1 if unexpected else 0)


def _send(client: httpx.Client, hostile: Hostile) -> tuple[httpx.Response, float]:
    headers = {"Content-Type": hostile.content_type, "Content-Encoding": hostile.content_encoding}
    given = {name: value for name, value in headers.items() if value}
    started = perf_counter()
    response = client.post(hostile.path, content=hostile.body, headers=given)
    return response, perf_counter() - started


def _report(title: str, answered: list[tuple[Hostile, httpx.Response, float]]) -> int:
    unexpected = 0
    for hostile, response, seconds in answered:
        code = response.json().get("code", "")
        wrong = (response.status_code, code) != (hostile.status, hostile.code)
        unexpected += wrong
        print(
            f"{response.status_code} {code:<23}{seconds * 1000:8.1f} ms  {hostile.name}"
            f"{'  UNEXPECTED' if wrong else ''}"
        )
    statuses = Counter(response.status_code for _, response, _ in answered)
    errors = [len(response.content) for _, response, _ in answered if response.is_error]
    slowest = max(seconds for *_, seconds in answered)
    counted = ", ".join(f"{status} x{count}" for status, count in sorted(statuses.items()))
    print(
        f"{title}: {counted}; 5xx {sum(n for s, n in statuses.items() if s >= 500)}; "
        f"largest error {max(errors)} B; slowest {slowest * 1000:.0f} ms "
        f"(sending included); unexpected {unexpected}\n"
    )
    return unexpected


if __name__ == "__main__":
    main()
