"""Unfinished bodies share one limit of memory, beside which small searches go on."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest
from tusou_service.http.pending_bodies import PendingBodies

from tests.tusou_service.tiny import TinySource, running
from tusou.core.errors import Overloaded

KIB = 1024
HEAD = b"POST /search/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


class HeldBody:
    """A batch padded with spaces to a size; all but its last byte is sent."""

    def __init__(self, size: int) -> None:
        self.body = b'{"queries":["a"]' + b" " * (size - 17) + b"}"

    async def send_start(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        self.writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(self.body) + self.body[:-1])
        await self.writer.drain()

    async def response(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)

    async def finish(self) -> bytes:
        self.writer.write(self.body[-1:])
        return await self.response()


async def test_the_largest_unfinished_body_is_refused_beyond_the_limit(source: TinySource) -> None:
    held = [HeldBody(size * KIB) for size in (100, 400, 200, 300)]
    async with running(source, max_pending_body_bytes=1000 * KIB - 4, body_s=30) as server:
        for body in held:
            await body.send_start(server.port)
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            for _ in range(3):  # each exceeds the limit, and stays the smallest
                small = HeldBody(KIB)
                await small.send_start(server.port)
                assert (await client.post("/search", json={"query": "a"})).status_code == 200
                assert (await small.finish()).startswith(b"HTTP/1.1 200")
                small.writer.close()
        refused = await held[1].response()
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: " in refused.lower()
        assert b"503" not in b"".join([await body.finish() for body in (*held[:1], *held[2:])])
        for body in held:
            body.writer.close()


async def test_a_body_larger_than_the_limit_is_refused(source: TinySource) -> None:
    async with running(source, max_pending_body_bytes=100 * KIB, body_s=30) as server:
        held = HeldBody(200 * KIB)
        await held.send_start(server.port)
        assert (await held.response()).startswith(b"HTTP/1.1 503")
        again = HeldBody(90 * KIB)  # nothing of the first is counted any longer
        await again.send_start(server.port)
        assert (await again.finish()).startswith(b"HTTP/1.1 200")
        held.writer.close()
        again.writer.close()


async def test_data_that_arrives_after_the_refusal_is_not_counted() -> None:
    bodies = PendingBodies(10)
    async with AsyncExitStack() as stack:
        large, small = [
            stack.enter_context(
                bodies.receiving(await stack.enter_async_context(asyncio.timeout(30)))
            )
            for _ in range(2)
        ]
        bodies.grow(large, 8)
        bodies.grow(small, 3)  # now `large` is refused
        with pytest.raises(Overloaded):
            bodies.grow(large, 4)
        bodies.grow(small, 7)
