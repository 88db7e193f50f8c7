"""Mutated requests over plain sockets, and a check of what a server answers."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.reliability.clients import address, post, read_response, search_request

_PATIENCE = 0.25  # seconds without a byte: an unfinished request gets no response
_CLIENTS = 16
_ALLOWED_5XX = {503, 504}
_MAX_PROBLEM = 2048
_CHUNKED = (
    b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"que\r\n8\r\nry":"a"}\r\n0\r\n\r\n'
)
_GOOD = search_request("红色连衣裙")
SEEDS = (
    _GOOD,
    _GOOD + _GOOD,
    _CHUNKED,
    search_request("a", headers="Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"),
    post("/search/batch", b'{"queries":["a","b"]}'),
    post("/v1/embeddings", b'{"input":"a"}'),
    b"GET /items/1/image HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n",
    _GOOD + b"garbage\r\n\r\n",
    _GOOD + bytes(20_000),
)
_TOKENS = (
    b"\r\n",
    b"\x00",
    b"\xff",
    b"Content-Length: 5\r\n",
    b"Host: b\r\n",
    b" ",
    b":",
    b"{",
    b'"',
)


@dataclass(slots=True)
class Findings:
    """Statuses of all responses, and the faults that were found."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest_error: float = 0.0  # seconds


async def send_mutations(url: str, count: int, seed: int) -> Findings:
    """Send that many mutated requests, each on a connection of its own."""
    generator, findings = random.Random(seed), Findings()
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            await _send(url, mutate(generator), findings)

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return findings


def mutate(generator: random.Random) -> bytes:
    """Return a request with up to eight changes: flips, cuts, repeats and insertions."""
    data = bytearray(generator.choice(SEEDS))
    for _ in range(generator.randint(0, 8)):
        start = generator.randrange(len(data))
        end = min(len(data), start + generator.choice((1, 2, 9, 200)))
        change = generator.randrange(4)
        if change == 0:
            data[start] = generator.randrange(256)
        elif change == 1 and end - start < len(data):
            del data[start:end]
        elif change == 2:
            data[start:start] = data[start:end]
        else:
            data[start:start] = generator.choice(_TOKENS)
    return bytes(data)


async def _send(url: str, request: bytes, findings: Findings) -> None:
    reader, writer = await asyncio.open_connection(*address(url))
    started = perf_counter()
    try:
        writer.write(request)
        while True:
            async with asyncio.timeout(_PATIENCE):
                status, head, body = await read_response(reader)
            findings.statuses[status] += 1
            _check(status, head, body, findings)
            if status >= 400:
                findings.slowest_error = max(findings.slowest_error, perf_counter() - started)
            started = perf_counter()
    except asyncio.IncompleteReadError as error:
        findings.faults["half a response"] += bool(error.partial)
    except ConnectionError:
        findings.faults["reset"] += 1
    except TimeoutError:
        pass  # it waits for the rest of a request
    finally:
        writer.close()


def _check(status: int, head: bytes, body: bytes, findings: Findings) -> None:
    if status >= 500 and status not in _ALLOWED_5XX:
        findings.faults["5xx"] += 1
    if status >= 400 and b"application/problem+json" not in head and b"HEAD " not in head:
        findings.faults["no problem"] += 1
    if status >= 400 and len(body) > _MAX_PROBLEM:
        findings.faults["error over 2 KiB"] += 1
