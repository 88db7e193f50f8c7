"""Clients that leave while their query waits: the share that is never computed.

python -m benchmarks.reliability.disconnects
"""

import argparse
import asyncio
import re

import httpx

from benchmarks.record import record
from benchmarks.reliability.clients import KeepAliveClient, Outcomes, address, search_request
from benchmarks.running import demo_service

_STAYERS = 400  # their queries keep the queue busy while the others come and leave


def main() -> None:
    """Run and print; record with --full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="200 clients leave instead of 50")
    full = parser.parse_args().full
    environment = {"TUSOU_MAX_BATCH": "1", "TUSOU_TARGET_MS": "60000", "TUSOU_TIMEOUT_MS": "30000"}
    with demo_service(items=20_000 if full else 2_000, **environment) as running:
        figures = asyncio.run(measure(running.url, 200 if full else 50))
    record("reliability.disconnects", figures, save=full)


async def measure(url: str, count: int) -> dict[str, object]:
    """Return how many queries of clients that left were computed."""
    outcomes, request = Outcomes(), search_request("红色连衣裙" * 10, top_k=1000)
    stayers = [KeepAliveClient(url, outcomes) for _ in range(_STAYERS)]
    before = _computed(url)
    staying = [asyncio.create_task(client.send(request)) for client in stayers]
    leavers = [await asyncio.open_connection(*address(url)) for _ in range(count)]
    for _, writer in leavers:
        writer.write(request)
    await asyncio.sleep(0.1)
    for _, writer in leavers:
        writer.close()
    await asyncio.gather(*staying)
    for client in stayers:
        client.close()
    computed = _computed(url) - before - outcomes.statuses[200]
    return {
        "clients that left": count,
        "stayed and were answered": outcomes.statuses[200],
        "computed for those that left": computed,
        "not computed": round(1 - computed / count, 3),
    }


def _computed(url: str) -> int:
    metrics = httpx.get(f"{url}/metrics", timeout=60).text
    return sum(int(float(n)) for n in re.findall(r"^tusou_batch_size_sum\S* (\S+)", metrics, re.M))


if __name__ == "__main__":
    main()
