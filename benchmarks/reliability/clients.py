"""Clients over plain sockets, which see every reset and every byte."""

import asyncio
import json
import statistics
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit


@dataclass(slots=True)
class Outcomes:
    """Statuses of responses, seconds of each, and what was lost."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0  # requests without a response

    def add(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(seconds)

    def counts(self) -> dict[str, int]:
        """Return the number of responses with each status."""
        return {str(status): count for status, count in sorted(self.statuses.items())}

    def p99_ms(self, status: int = 200) -> float:
        """Return the 99th percentile of the responses with a status, in milliseconds."""
        return round(1000 * statistics.quantiles(self.seconds[status], n=100)[98], 1)


def search_request(query: str, top_k: int = 10, headers: str = "") -> bytes:
    """Return the bytes of a POST /search."""
    body = json.dumps({"query": query, "top_k": top_k}, ensure_ascii=False).encode()
    return post("/search", body, headers)


def post(path: str, body: bytes, headers: str = "") -> bytes:
    """Return the bytes of a POST of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Return status, head and body; IncompleteReadError if the connection ends before."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
    length = next(int(value) for name, _, value in fields if name == b"content-length")
    return int(head.split(b" ", 2)[1]), head, await reader.readexactly(length)


def address(url: str) -> tuple[str, int]:
    """Return host and port."""
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


class KeepAliveClient:
    """Sends one request after another, on one connection while the server keeps it."""

    def __init__(self, url: str, outcomes: Outcomes) -> None:
        self._address, self._outcomes = address(url), outcomes
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body, 0 if the request is lost; ConnectionRefusedError."""
        started = perf_counter()
        reader, writer = await self._connect()
        try:
            writer.write(request)
            status, head, body = await read_response(reader)
        except (OSError, asyncio.IncompleteReadError):
            self._outcomes.lost += 1
            self.close()
            return 0, b""
        self._outcomes.add(status, perf_counter() - started)
        if b"connection: close" in head.lower():
            self.close()
        return status, body

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        return self._streams

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None
