"""Connections to an endpoint: the time of a refusal, and which connections are used again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tusou.stages.endpoint_http import (
    BrokenOff,
    EndpointConnections,
    NotConnected,
    _read_retry_after,
)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After-Ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({}, None),
    ],
)
def test_reads_a_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert _read_retry_after({name.lower(): value for name, value in headers.items()}) == seconds


def test_reads_a_retry_after_with_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = _read_retry_after({"retry-after": later})
    assert seconds is not None
    assert 85 < seconds <= 90


async def test_connections_are_used_again_also_after_a_cut() -> None:
    opened, closed, replies = 0, 0, 0
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, closed, replies
        opened += 1
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            assert b"authorization: bearer key" in head.lower()
            await reader.readexactly(2)
            replies += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            if replies == 7:  # the body is missing
                break
            await asyncio.sleep(0.01)
            writer.write(b"ok")
        writer.close()
        closed += 1
        if closed == 4:
            ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connections = EndpointConnections(f"http://127.0.0.1:{port}/v1", "key")
        for _ in range(2):
            both = await asyncio.gather(*(connections.post(b"{}") for _ in range(3)))
            assert [reply.body for reply in both] == [b"ok"] * 3
        assert opened == 3
        with pytest.raises(BrokenOff):
            await connections.post(b"{}")
        again = await asyncio.gather(*(connections.post(b"{}") for _ in range(3)))
        assert [reply.body for reply in again] == [b"ok"] * 3
        assert opened == 4
        await connections.aclose()
        await ended.wait()


@asynccontextmanager
async def running_server(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[EndpointConnections]:
    """Serve each connection by `answer` until the block ends; yields connections to it."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await answer(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connections = EndpointConnections(f"http://127.0.0.1:{port}/v1", None)
        yield connections
        await connections.aclose()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("reply", "opened"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 1),
        (b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 3),
    ],
)
async def test_a_connection_is_used_again_unless_the_server_closes_it(
    reply: bytes, opened: int
) -> None:
    count = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        while True:
            await reader.readuntil(b"\r\n\r\n{}")
            writer.write(reply)
            if opened > 1:
                break

    async with running_server(answer) as connections:
        for _ in range(3):
            assert (await connections.post(b"{}")).body == b"ok"
        assert count == opened


async def test_a_connection_that_the_server_has_closed_meanwhile_is_replaced() -> None:
    closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with running_server(answer) as connections:
        for _ in range(3):
            assert (await connections.post(b"{}")).body == b"ok"
            await closed.wait()
            await asyncio.sleep(0.05)  # for its end to arrive
            closed.clear()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"", "without a reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "closed"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "illegal status line"),
    ],
)
async def test_a_reply_that_is_not_whole_is_an_error(reply: bytes, message: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(reply)

    async with running_server(answer) as connections:
        with pytest.raises(BrokenOff, match=message):
            await connections.post(b"{}")
    with pytest.raises(NotConnected):
        await connections.post(b"{}")


async def test_a_request_that_is_given_up_leaves_no_reply_to_the_next() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(4)
            if body == b"slow":
                await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)

    async with running_server(answer) as connections:
        assert (await connections.post(b"good")).body == b"good"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connections.post(b"slow"), 0.05)
        assert (await connections.post(b"next")).body == b"next"
