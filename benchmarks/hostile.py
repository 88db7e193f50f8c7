"""The hostile bodies against a service: statuses, slowest, largest error, count of 5xx.

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

from benchmarks.record import record
from benchmarks.running import demo_bundle, service
from tests.tusou_service.hostile import APPENDIX, MORE, Hostile

# FastAPI 0.165.0 with an ordinary pydantic model and its own error answers; another machine.
DEFAULTS = "FastAPI's defaults: 10 of the 35 answered 500, largest error 10 MB, slowest 1.47 s"


@dataclass(frozen=True, slots=True)
class Answered:
    """One body and what came back."""

    hostile: Hostile
    status: int
    code: str
    size: int
    seconds: float

    @property
    def expected(self) -> bool:
        """Tell whether the answer is the one that was decided on."""
        return (self.status, self.code) == (self.hostile.status, self.hostile.code)


def main() -> None:
    """Run and record; exit 1 when any answer is not as decided."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running service; else one is started")
    url = parser.parse_args().url
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if not url:
            bundle = demo_bundle(Path(folder), items=100)
            url = stack.enter_context(service(bundle)).url
        sent = send_all(url)
    for one in sent:
        mark = "" if one.expected else "  NOT AS DECIDED"
        print(f"{one.status} {one.code:<23}{one.seconds * 1000:8.1f} ms  {one.hostile.name}{mark}")
    the_35, more = sent[: len(APPENDIX)], sent[len(APPENDIX) :]
    record("hostile", {"the 35": summary(the_35), "more": summary(more), "beside": DEFAULTS})
    sys.exit(not all(one.expected for one in sent))


def send_all(url: str) -> list[Answered]:
    """Send every body once."""
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/healthz").raise_for_status()
        return [_send(client, hostile) for hostile in (*APPENDIX, *MORE)]


def _send(client: httpx.Client, hostile: Hostile) -> Answered:
    headers = {"Content-Type": hostile.content_type, "Content-Encoding": hostile.content_encoding}
    given = {name: value for name, value in headers.items() if value}
    started = perf_counter()
    response = client.post(hostile.path, content=hostile.body, headers=given)
    seconds = perf_counter() - started
    code = response.json().get("code", "")
    return Answered(hostile, response.status_code, code, len(response.content), seconds)


def summary(sent: list[Answered]) -> dict[str, object]:
    """Count and compare."""
    statuses = Counter(one.status for one in sent)
    refused = [one for one in sent if one.status >= 400]
    return {
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "5xx": sum(count for status, count in statuses.items() if status >= 500),
        "not as decided": sum(not one.expected for one in sent),
        "largest error, bytes": max(one.size for one in refused),
        "slowest refusal, ms, sending included": round(
            max(one.seconds for one in refused) * 1000, 1
        ),
    }


if __name__ == "__main__":
    main()
