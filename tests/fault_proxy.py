"""A proxy before a real server, which spoils the replies to some requests."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Fault:
    """A fault in a reply: the connection is cut, or the reply comes late or is replaced."""

    kind: str  # cut, slow, status, or content
    seconds: float = 0  # a slow reply is late, or a Retry-After
    status: int = 500
    content: str = ""  # instead of what the model wrote
    once: bool = True  # the next try of the same request passes


@dataclass
class FaultProxy:
    """Chooses a fault for each reply by the body of its request, and records what happened."""

    target: str
    choose: Callable[[dict[str, Any]], Fault | None]
    url: str = ""
    arrivals: list[float] = field(default_factory=list)  # monotonic seconds
    refusals: list[float] = field(default_factory=list)  # when a Retry-After was sent
    passed: Counter[bytes] = field(default_factory=Counter)  # bodies whose reply was not spoiled
    spoiled: Counter[bytes] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, request after request."""
        with suppress(OSError, asyncio.IncompleteReadError), closing(writer):
            while True:
                head, body = await _read_message(reader)
                self.arrivals.append(monotonic())
                fault = self.choose(json.loads(body))
                if fault is None or (fault.once and self.spoiled[body]):
                    reply = await self._ask(head + body)
                    self.passed[body] += 1
                    writer.write(reply)
                    await writer.drain()
                    continue
                self.spoiled[body] += 1
                if not await self._spoil(fault, head + body, writer):
                    break

    async def _spoil(self, fault: Fault, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Send the spoiled reply; return whether the connection goes on."""
        if fault.kind == "status":
            headers = ""
            if fault.seconds:
                headers = f"Retry-After: {fault.seconds:.0f}\r\n"
                self.refusals.append(monotonic())
            body = json.dumps({"error": {"message": "as the test says"}}).encode()
            writer.write(_reply(body, fault.status, headers))
            await writer.drain()
            return True
        reply = await self._ask(request)
        if fault.kind == "cut":
            writer.write(reply[: len(reply) - 20])
            await writer.drain()
            return False
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            writer.write(reply)
        else:
            answer = json.loads(reply.partition(b"\r\n\r\n")[2])
            answer["choices"][0]["message"]["content"] = fault.content
            writer.write(_reply(json.dumps(answer).encode(), 200))
        await writer.drain()
        return True

    async def _ask(self, request: bytes) -> bytes:
        parts = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        with closing(writer):
            writer.write(request)
            head, body = await _read_message(reader)
        return head + body


def _reply(body: bytes, status: int, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the head and the body of a request or response; its length is in its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
    return head, await reader.readexactly(length)


@contextmanager
def running_proxy(
    target: str, choose: Callable[[dict[str, Any]], Fault | None]
) -> Iterator[FaultProxy]:
    """Run a proxy before the server at `target` until the block ends."""
    proxy = FaultProxy(target, choose)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    thread = threading.Thread(target=partial(_run, loop, proxy, ready))
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, proxy: FaultProxy, ready: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=2**20))
    port = server.sockets[0].getsockname()[1]
    proxy.url = f"http://127.0.0.1:{port}{urlsplit(proxy.target).path}"
    ready.set()
    loop.run_forever()
    server.close()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(asyncio.sleep(0.05))  # transports close in a later turn
    loop.close()
