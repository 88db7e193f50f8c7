"""Connections to an endpoint: the time of a refusal, and which connections are used again."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from tusou.stages.endpoint_http import EndpointConnections, _read_retry_after


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
    assert _read_retry_after(httpx.Headers(headers)) == seconds


def test_reads_a_retry_after_with_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = _read_retry_after(httpx.Headers({"Retry-After": later}))
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
        with pytest.raises(httpx.RemoteProtocolError):
            await connections.post(b"{}")
        assert (await connections.post(b"{}")).body == b"ok"
        assert opened == 4
        await connections.aclose()
        await ended.wait()
