"""Memory that large and unfinished bodies take, and searches beside them.

python -m benchmarks.reliability.bodies
"""

import argparse
import asyncio
import contextlib
from time import perf_counter

from benchmarks.record import record
from benchmarks.reliability.clients import (
    KeepAliveClient,
    Outcomes,
    address,
    read_response,
    search_request,
)
from benchmarks.running import Service, demo_service

MIB = 1024 * 1024
_HEAD = b"POST /search/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def main() -> None:
    """Run and print; record with --full."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="50 bodies at once, 400 unfinished")
    full = parser.parse_args().full
    with demo_service(items=100) as running:
        figures = asyncio.run(measure(running, *((50, 400) if full else (2, 100))))
    record("reliability.bodies", figures, save=full)


async def measure(running: Service, large: int, unfinished: int) -> dict[str, object]:
    """Return the figures of bodies of 200 MB, and of unfinished ones of 1 MiB."""
    outcomes = Outcomes()
    await _search(running.url, outcomes, 1.0)  # warm
    before = running.resident_mb()
    answers = await asyncio.gather(
        *(_send_large(running.url, chunked=n % 2 == 0) for n in range(large))
    )
    large_mb = running.resident_mb() - before
    held = [await _hold(running.url) for _ in range(unfinished)]
    beside = Outcomes()
    await _search(running.url, beside, 2.0)
    held_mb = running.resident_mb() - before
    refused = [reader for reader, _ in held if await _status(reader) == 503]
    for _, writer in held:
        writer.close()
    return {
        "bodies of 200 MB": {
            "count": large,
            "statuses": sorted({status for status, _ in answers}),
            "slowest answer, ms": round(1000 * max(seconds for _, seconds in answers), 1),
            "memory rose by, MB": round(large_mb, 1),
        },
        "unfinished bodies of 1 MiB": {
            "count": unfinished,
            "refused with 503": len(refused),
            "memory rose by, MB": round(held_mb, 1),
            "searches beside": beside.counts(),
            "lost": beside.lost,
            "their p99, ms": beside.p99_ms(),
        },
    }


async def _search(url: str, outcomes: Outcomes, seconds: float) -> None:
    client, until = KeepAliveClient(url, outcomes), perf_counter() + seconds
    while perf_counter() < until:
        await client.send(search_request("红色连衣裙"))
    client.close()


async def _send_large(url: str, *, chunked: bool) -> tuple[int, float]:
    """Send 200 MB, at least until the answer comes; return its status and seconds."""
    reader, writer = await asyncio.open_connection(*address(url))
    started = perf_counter()
    block = b" " * 65536
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 200000000"
    writer.write(_HEAD + length + b"\r\n\r\n")
    sending = asyncio.create_task(
        _send_blocks(writer, b"10000\r\n%b\r\n" % block if chunked else block)
    )
    status, _, _ = await read_response(reader)
    seconds = perf_counter() - started
    sending.cancel()
    writer.close()
    return status, seconds


async def _send_blocks(writer: asyncio.StreamWriter, block: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(200_000_000 // len(block)):
            writer.write(block)
            await writer.drain()


async def _hold(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a body of 1 MiB less its last byte."""
    reader, writer = await asyncio.open_connection(*address(url))
    writer.write(
        _HEAD + b"Content-Length: %d\r\n\r\n" % MIB + b'{"queries":["a"]' + b" " * (MIB - 17)
    )
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    return reader, writer


async def _status(reader: asyncio.StreamReader) -> int:
    """Return the status of a response that is there; 0 if there is none."""
    try:
        async with asyncio.timeout(0.01):
            return (await read_response(reader))[0]
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        return 0


if __name__ == "__main__":
    main()
