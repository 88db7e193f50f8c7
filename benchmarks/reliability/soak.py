"""Hours of mixed load on one service: memory, descriptors and threads must not grow.

python -m benchmarks.reliability.soak [--full]

One request in twenty is invalid, one in fifty is left by its client, and the index changes to
another version and back at regular times.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import httpx

from benchmarks.record import record
from benchmarks.reliability.clients import (
    KeepAliveClient,
    Outcomes,
    address,
    post,
    search_request,
)
from benchmarks.reliability.swaps import point, versions_in
from benchmarks.running import Service, demo_bundle, service
from benchmarks.stock import queries

_CLIENTS = 8
_HOSTILE, _LEAVING = 0.05, 0.02
_INVALID = post("/search", b'{"query": "\\ud800", "top_k": NaN}')
_EXPECTED = {200, 400, 422, 503}


@dataclass(slots=True)
class Readings:
    """Memory, descriptors and threads of the service, in the order of time."""

    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def take(self, running: Service, seconds: float) -> None:
        process = Path(f"/proc/{running.pid}")
        self.seconds.append(seconds)
        self.megabytes.append(running.resident_mb())
        self.files.append(sum(1 for _ in (process / "fd").iterdir()))
        self.threads.append(sum(1 for _ in (process / "task").iterdir()))

    def growth_percent_per_hour(self) -> float:
        """Return the slope of the memory over the second half, relative to its level."""
        half = len(self.seconds) // 2
        seconds, megabytes = self.seconds[half:], self.megabytes[half:]
        slope = statistics.linear_regression(seconds, megabytes).slope
        return 100 * 3600 * slope / statistics.mean(megabytes)


def main() -> None:
    """Measure and print; record with --full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="an hour instead of two minutes")
    full = parser.parse_args().full
    seconds = 3600.0 if full else 120.0
    outcomes, readings = Outcomes(), Readings()
    with tempfile.TemporaryDirectory() as folder:
        bundle = demo_bundle(Path(folder), items=1000, seeds=(1, 2))
        with service(bundle) as running:
            left = asyncio.run(_run(running, bundle, seconds, outcomes, readings))
    half = len(readings.files) // 2
    unexpected = {
        str(status): count for status, count in outcomes.statuses.items() if status not in _EXPECTED
    }
    figures: dict[str, object] = {
        "seconds": seconds,
        "requests": outcomes.statuses.total(),
        "statuses": outcomes.counts(),
        "unexpected": unexpected,
        "lost": outcomes.lost,
        "left by their clients": left,
        "memory, MB, first and last": [round(readings.megabytes[i]) for i in (0, -1)],
        "memory growth in the second half, percent per hour": round(
            readings.growth_percent_per_hour(), 1
        ),
        "descriptors, most in each half": [max(readings.files[:half]), max(readings.files[half:])],
        "threads, most in each half": [max(readings.threads[:half]), max(readings.threads[half:])],
    }
    record("reliability.soak", figures, save=full)


async def _run(
    running: Service, bundle: Path, seconds: float, outcomes: Outcomes, readings: Readings
) -> int:
    """Run all clients; return how many requests were left."""
    begun = monotonic()
    until, texts = begun + seconds, queries(5000)
    clients = [
        asyncio.create_task(_be_client(running.url, number, until, texts, outcomes))
        for number in range(_CLIENTS)
    ]
    swapping = asyncio.create_task(_swap(running.url, bundle, seconds / 60))
    while monotonic() < until:
        readings.take(running, monotonic() - begun)
        await asyncio.sleep(seconds / 240)
    swapping.cancel()
    return sum(await asyncio.gather(*clients))


async def _be_client(
    url: str, number: int, until: float, texts: list[str], outcomes: Outcomes
) -> int:
    draw, client, left = random.Random(number), KeepAliveClient(url, outcomes), 0
    while monotonic() < until:
        chance = draw.random()
        if chance < _LEAVING:
            _, writer = await asyncio.open_connection(*address(url))
            writer.write(search_request(draw.choice(texts)))
            writer.close()
            left += 1
        elif chance < _LEAVING + _HOSTILE:
            await client.send(_INVALID)
        else:
            await client.send(search_request(draw.choice(texts)))
    client.close()
    return left


async def _swap(url: str, bundle: Path, pause: float) -> None:
    versions = versions_in(bundle)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        with suppress(asyncio.CancelledError):
            for number in range(10**6):
                await asyncio.sleep(max(pause, 2))
                point(bundle, versions[number % 2])
                await client.post("/admin/reload")


if __name__ == "__main__":
    main()
