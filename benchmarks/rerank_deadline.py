"""Searches of many clients while a slow reranker has a time limit of 50 ms.

python -m benchmarks.rerank_deadline

Services of the demo model, without a cache of queries, are loaded in turn: one without reranking,
one whose endpoint answers after 20 to 200 ms, and one whose endpoint never answers. The load
generators and the endpoints run on the same cores.
"""

import argparse
import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from tusou_indexer.rerank_changes import set_endpoint
from tusou_indexer.stage_changes import change_stages, set_rerank_limits

from benchmarks.http import drive
from benchmarks.record import record
from benchmarks.running import Service, demo_bundle, free_port, service
from tusou.bundle.bundle import Bundle

CLIENTS, DEADLINE_MS, DEPTH, ITEMS, TEXTS = 32, 50, 20, 300, 100_000
FASTEST, SLOWEST = 0.02, 0.2  # seconds of an answer

_OUTCOME = re.compile(r'tusou_reranks_total\{arm="a",outcome="(\w+)"\} ([0-9.]+)')


def main() -> None:
    """Load the services in turn, and record latencies and outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--endpoint", nargs=2, metavar=("PORT", "SECONDS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.endpoint:
        asyncio.run(serve_endpoint(int(arguments.endpoint[0]), float(arguments.endpoint[1])))
        return
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        plain = demo_bundle(Path(name), ITEMS)
        reranked = Path(name) / "reranked"
        give_endpoint(plain, reranked)
        slow, hung = (stack.enter_context(endpoint(seconds)) for seconds in (0, 3600))
        services = {"without reranking": stack.enter_context(service(plain))} | {
            kind: stack.enter_context(service(reranked, TUSOU_RERANK_URL=url))
            for kind, url in (("slow endpoint", slow), ("hung endpoint", hung))
        }
        rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in services}
        for _ in range(arguments.rounds):
            for kind, running in services.items():
                rows[kind].append(measure(running, arguments.seconds))
    record(
        "rerank_deadline",
        {
            "clients": CLIENTS,
            "deadline_ms": DEADLINE_MS,
            "candidates": DEPTH,
            "endpoint answers after, ms": [1000 * FASTEST, 1000 * SLOWEST],
            **{kind: medians(measured) for kind, measured in rows.items()},
        },
    )


def give_endpoint(plain: Path, out: Path) -> None:
    """Publish the bundle with a reranker, whose address each service replaces."""
    bundle = Bundle.open(plain)
    change = set_endpoint(bundle, "http://127.0.0.1:9/v1", "model", "listwise", ())
    limits = set_rerank_limits(change.stages["rerank"], DEPTH, 1.0, DEADLINE_MS)
    change_stages(plain, [change, limits], out)


@contextmanager
def endpoint(seconds: float) -> Iterator[str]:
    """Run an endpoint in a process of its own, which answers `seconds` later than usual."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.rerank_deadline"]
    process = subprocess.Popen([*command, "--endpoint", str(port), str(seconds)])
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


async def serve_endpoint(port: int, seconds: float) -> None:
    """Grade all images of every request at random, after a while."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await read_head(reader):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            try:
                count = (await reader.readexactly(length)).count(b"data:image/")
            except asyncio.IncompleteReadError:  # the time limit has passed
                break
            await asyncio.sleep(seconds + random.uniform(FASTEST, SLOWEST))
            rows = [{"number": n, "grade": random.randint(0, 3)} for n in range(1, count + 1)]
            message = {"role": "assistant", "content": json.dumps({"grades": rows})}
            body = json.dumps({"choices": [{"message": message}]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Return the head of the next request; b"" after the last one."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def measure(running: Service, seconds: float) -> dict[str, float]:
    """Return the latencies of all clients, and the share of each outcome in percent."""
    before = outcomes(running)
    figures = drive(running, CLIENTS, seconds, TEXTS)
    counts = {kind: count - before.get(kind, 0) for kind, count in outcomes(running).items()}
    total = sum(counts.values())
    return figures | {
        f"{kind}_percent": round(100 * count / total, 1) for kind, count in counts.items() if total
    }


def outcomes(running: Service) -> dict[str, float]:
    """Return the queries by the outcome of their reranking."""
    metrics = httpx.get(f"{running.url}/metrics", trust_env=False).text
    return {kind: float(count) for kind, count in _OUTCOME.findall(metrics)}


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: round(statistics.median(row.get(name, 0.0) for row in rows), 1) for name in names}


if __name__ == "__main__":
    main()
