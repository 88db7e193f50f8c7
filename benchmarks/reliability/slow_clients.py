"""Slow clients: how long their connections stay, and the effect on normal searches.

python -m benchmarks.reliability.slow_clients
"""

import argparse
import asyncio
import contextlib
from time import perf_counter

from benchmarks.record import record
from benchmarks.reliability.clients import KeepAliveClient, Outcomes, address, search_request
from benchmarks.running import demo_service

_HEAD = b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
_BODY = _HEAD + b"Content-Length: 99\r\n\r\n"
# The bytes sent at once, and those sent every half second after them.
_KINDS = {
    "silent": (b"", b""),
    "half a header": (_HEAD[:-9], b""),
    "header in drips": (_HEAD, b"X: a\r\n"),
    "stalled body": (_BODY + b"{", b""),
    "body in drips": (_BODY, b" "),
}
_PAUSE, _PATIENCE = 0.5, 60.0
_NORMAL_CLIENTS = 4


def main() -> None:
    """Run and print; record with --full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="1,000 slow clients instead of 100")
    full = parser.parse_args().full
    with demo_service(items=100) as running:
        figures = asyncio.run(measure(running.url, 1000 if full else 100))
    record("reliability.slow_clients", figures, save=full)


async def measure(url: str, count: int) -> dict[str, object]:
    """Return the seconds of slow connections, and the latency of searches beside and without."""
    alone, beside, stop = Outcomes(), Outcomes(), asyncio.Event()
    asyncio.get_running_loop().call_later(3, stop.set)
    await _search(url, alone, stop)
    stop.clear()
    searching = asyncio.create_task(_search(url, beside, stop))
    kinds = [list(_KINDS)[n % len(_KINDS)] for n in range(count)]
    seconds = await asyncio.gather(*(_be_slow(url, *_KINDS[kind]) for kind in kinds))
    stop.set()
    await searching
    longest = {
        kind: round(max(s for k, s in zip(kinds, seconds, strict=True) if k == kind), 1)
        for kind in _KINDS
    }
    return {
        "slow clients": count,
        "longest connection, s": longest,
        "searches beside": beside.counts(),
        "lost": beside.lost,
        "p99 alone, ms": alone.p99_ms(),
        "p99 beside, ms": beside.p99_ms(),
    }


async def _search(url: str, outcomes: Outcomes, stop: asyncio.Event) -> None:
    async def search() -> None:
        client = KeepAliveClient(url, outcomes)
        while not stop.is_set():
            await client.send(search_request("红色连衣裙"))
            await asyncio.sleep(0.01)
        client.close()

    await asyncio.gather(*(search() for _ in range(_NORMAL_CLIENTS)))


async def _be_slow(url: str, first: bytes, drip: bytes) -> float:
    """Return the seconds until the server ends the connection."""
    started = perf_counter()
    reader, writer = await asyncio.open_connection(*address(url))
    ended = asyncio.create_task(reader.read())
    with contextlib.suppress(ConnectionError):
        writer.write(first)
        while not ended.done() and perf_counter() < started + _PATIENCE:
            await asyncio.wait([ended], timeout=_PAUSE)
            writer.write(drip)
    ended.cancel()
    writer.close()
    return perf_counter() - started


if __name__ == "__main__":
    main()
