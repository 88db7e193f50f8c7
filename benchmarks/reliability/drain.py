"""Requests lost when a service stops under load: SIGTERM while clients keep sending.

python -m benchmarks.reliability.drain
"""

import argparse
import asyncio
import contextlib
import os
import signal
import tempfile
from pathlib import Path

from benchmarks.record import record
from benchmarks.reliability.clients import KeepAliveClient, Outcomes, search_request
from benchmarks.running import demo_bundle, service

CLIENTS = 64
_SECONDS_BEFORE = 0.5


def main() -> None:
    """Run and print; record with --full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="50 drains instead of 3")
    parser.add_argument("--workers", default="1")
    arguments = parser.parse_args()
    runs = 50 if arguments.full else 3
    outcomes = Outcomes()
    codes = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = demo_bundle(Path(folder), items=100)
        for _ in range(runs):
            with service(bundle, TUSOU_DRAIN_S="1", TUSOU_WORKERS=arguments.workers) as running:
                asyncio.run(drain(running.url, running.pid, outcomes))
                codes.append(running.process.wait())
    figures: dict[str, object] = {
        "drains": runs,
        "clients": CLIENTS,
        "answered": outcomes.statuses.total(),
        "statuses": outcomes.counts(),
        "lost": outcomes.lost,
        "exit codes": sorted(set(codes)),
    }
    record("reliability.drain", figures, save=arguments.full)


async def drain(url: str, pid: int, outcomes: Outcomes) -> None:
    """Send from all clients until the port is closed; send SIGTERM soon after the start."""
    asyncio.get_running_loop().call_later(_SECONDS_BEFORE, os.kill, pid, signal.SIGTERM)
    await asyncio.gather(*(_send_until_refused(url, outcomes) for _ in range(CLIENTS)))


async def _send_until_refused(url: str, outcomes: Outcomes) -> None:
    client = KeepAliveClient(url, outcomes)
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            await client.send(search_request("红色连衣裙"))


if __name__ == "__main__":
    main()
