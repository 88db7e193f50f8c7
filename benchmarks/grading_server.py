"""A server of chat completions in a process of its own, which grades after a fixed time.

python -m benchmarks.grading_server PORT SECONDS

GET / returns how often each question came, as a JSON list of counts.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from time import monotonic, sleep
from typing import cast

import httpx
import uvloop

from benchmarks.running import free_port

_START_SECONDS = 60.0
_LENGTH = b"content-length:"


def main() -> None:
    """Serve until the process is ended."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    uvloop.run(serve(port, seconds))


async def serve(port: int, seconds: float) -> None:
    """Answer every request `seconds` after its last byte."""
    loop = asyncio.get_running_loop()
    seen: Counter[bytes] = Counter()
    server = await loop.create_server(lambda: _Connection(seconds, seen), "127.0.0.1", port)
    await server.serve_forever()


class _Connection(asyncio.Protocol):
    """One connection, on which requests come one after another."""

    def __init__(self, seconds: float, seen: Counter[bytes]) -> None:
        self._seconds, self._seen = seconds, seen
        self._received = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return
        head = bytes(self._received[:head_end]).lower()
        length = int(head.partition(_LENGTH)[2].partition(b"\r\n")[0]) if _LENGTH in head else 0
        if len(self._received) < head_end + length:
            return
        body = bytes(self._received[head_end : head_end + length])
        del self._received[: head_end + length]
        if head.startswith(b"get"):
            self._send(json.dumps(list(self._seen.values())).encode())
            return
        digest = blake2b(body, digest_size=16).digest()
        self._seen[digest] += 1
        if b"image_url" in body:
            content = json.dumps({"reason": "品类对，颜色不对", "grade": digest[0] % 4})
        else:
            content = json.dumps({"guideline": "品类和颜色都对的是 3 级。"})
        usage = {"prompt_tokens": 600, "completion_tokens": 20, "total_tokens": 620}
        answer = {"choices": [{"message": {"content": content}}], "usage": usage}
        self._loop.call_later(self._seconds, self._send, json.dumps(answer).encode())

    def _send(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            )
            self._transport.write(head.encode() + b"\r\n\r\n" + body)


@contextmanager
def grading_server(seconds: float) -> Iterator[str]:
    """Run a server in a process of its own until the block ends; yields the address of its API."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.grading_server", str(port), str(seconds)]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        until = monotonic() + _START_SECONDS
        while not _answers(url):
            if process.poll() is not None or monotonic() > until:
                raise SystemExit("the server does not start")
            sleep(0.05)
        yield f"{url}/v1"
    finally:
        process.kill()
        process.wait()


def counts(url: str) -> list[int]:
    """Return how often each question came to the server."""
    seen: list[int] = httpx.get(url.removesuffix("/v1"), trust_env=False).json()
    return seen


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
