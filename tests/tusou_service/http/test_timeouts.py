"""A real server with clients that send invalid HTTP, slowly or not at all."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from benchmarks.reliability.hostile_requests import (
    MORE_REQUESTS,
    PUBLISHED_REQUESTS,
    HostileRequest,
)
from tests.tusou_service.tiny import Running, TinySource, running

SEARCH = b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
WHOLE = SEARCH + b'Content-Length: 13\r\n\r\n{"query":"a"}'


@pytest.fixture
async def server(source: TinySource) -> AsyncIterator[Running]:
    limits = {"header_s": 0.3, "body_s": 0.3, "keep_alive_s": 1, "write_s": 0.3}
    async with running(source, **limits) as server:
        yield server


async def exchange(server: Running, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send the parts, and return all that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    received = asyncio.create_task(_read_all(reader))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
    except ConnectionError:
        pass  # the server has closed it
    try:
        return await asyncio.wait_for(received, 5)
    finally:
        writer.close()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    data = b""
    try:
        while chunk := await reader.read(65536):
            data += chunk
    except ConnectionError:
        pass
    return data


def status_and_code(response: bytes) -> tuple[int, str]:
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["code"]


async def test_a_silent_client_is_disconnected(server: Running) -> None:
    assert await exchange(server) == b""


async def test_a_client_that_drips_headers_is_disconnected(server: Running) -> None:
    drips = [b"GET / HTTP/1.1\r\n", *(b"X-%d: a\r\n" % n for n in range(100))]
    assert await exchange(server, *drips, pause=0.02) == b""


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([SEARCH + b"Content-Length: 20\r\n\r\n", b"{"], id="stall"),
        pytest.param([SEARCH + b"Content-Length: 99\r\n\r\n", *[b" "] * 60], id="drip"),
        pytest.param(
            [SEARCH + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 60], id="chunks"
        ),
    ],
)
async def test_a_slow_body_is_a_408(server: Running, parts: list[bytes]) -> None:
    response = await exchange(server, *parts, pause=0.01)
    assert status_and_code(response) == (408, "request_timeout")


async def test_a_body_that_drips_on_after_its_response_is_cut(server: Running) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n"
    response = await exchange(server, head, *[b" "] * 200, pause=0.01)
    assert response.startswith(b"HTTP/1.1 404")


async def test_a_client_that_does_not_read_is_disconnected(source: TinySource) -> None:
    async with running(source, write_s=0.2, keep_alive_s=1, queue_size=9999) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        body = json.dumps({"queries": ["a"] * 256, "top_k": 50}).encode()
        head = b"POST /search/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        writer.write(request * 100)  # responses of 20 MB that the client does not read
        async with asyncio.timeout(10):
            while server.server.server_state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        writer.close()
        del reader


async def test_an_idle_connection_is_kept_and_then_closed(server: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(2):
        writer.write(WHOLE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"}")
        await asyncio.sleep(0.4)  # longer than the header deadline, shorter than keep-alive
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
        pytest.param(SEARCH + b"Content-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(SEARCH + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", id="two lengths"),
        pytest.param(
            SEARCH + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length and chunks",
        ),
        pytest.param(SEARCH + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad chunk size"),
        pytest.param(b"GET \xff HTTP/1.1\r\nHost: a\r\n\r\n", id="path of bytes"),
        pytest.param(b"GET / HTTP/1.1\r\nA\x00b: c\r\n\r\n", id="NUL in a header"),
    ],
)
async def test_invalid_http_is_a_400(server: Running, request_: bytes) -> None:
    assert status_and_code(await exchange(server, request_)) == (400, "bad_http")


async def test_endless_headers_are_a_431(server: Running) -> None:
    response = await exchange(server, b"GET / HTTP/1.1\r\nX: ", *[b"a" * 8192] * 4)
    assert status_and_code(response) == (431, "headers_too_large")


async def test_a_body_declared_too_large_is_refused_before_it_is_sent(server: Running) -> None:
    head = SEARCH + b"Content-Length: 200000000\r\nExpect: 100-continue\r\n\r\n"
    assert status_and_code(await exchange(server, head)) == (413, "body_too_large")


@pytest.mark.parametrize("size", [1, 8192])
async def test_a_chunked_body_is_counted_as_it_arrives(server: Running, size: int) -> None:
    chunk = b"%x\r\n" % size + b" " * size + b"\r\n"
    chunks = [chunk * (2_000 if size == 1 else 1)] * 400
    response = await exchange(server, SEARCH + b"Transfer-Encoding: chunked\r\n\r\n", *chunks)
    assert status_and_code(response) == (413, "body_too_large")


async def test_a_body_that_is_too_large_takes_no_memory(server: Running) -> None:
    before = _resident_bytes()
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    response = await exchange(
        server, SEARCH + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 500
    )
    assert status_and_code(response) == (413, "body_too_large")
    assert _resident_bytes() - before < 8 * 2**20


def _resident_bytes() -> int:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("needs /proc")
    return int(status.read_text().split()[1]) * 4096


async def test_100_slow_clients_do_not_stop_a_normal_one(server: Running) -> None:
    slow = [asyncio.create_task(exchange(server, SEARCH)) for _ in range(100)]
    async with httpx.AsyncClient(base_url=server.url) as client:
        for _ in range(10):
            assert (await client.post("/search", json={"query": "a"})).status_code == 200
    assert await asyncio.gather(*slow) == [b""] * 100


async def test_the_number_of_connections_is_limited(source: TinySource) -> None:
    async with running(source, max_connections=2) as server:
        connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        async with asyncio.timeout(5):
            while len(server.server.server_state.connections) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert status_and_code(await exchange(server, WHOLE)) == (503, "overloaded")
        for _, writer in connections:
            writer.close()


async def test_hostile_bodies_over_a_socket(source: TinySource) -> None:
    patient = running(source, timeout_ms=30_000)  # the first image starts the decoders
    async with patient as server, httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for hostile in (*PUBLISHED_REQUESTS, *MORE_REQUESTS):
            await _check(client, hostile)


async def _check(client: httpx.AsyncClient, hostile: HostileRequest) -> None:
    headers = {"Content-Type": hostile.content_type, "Content-Encoding": hostile.content_encoding}
    present = {name: value for name, value in headers.items() if value}
    response = await client.post(hostile.path, content=hostile.body, headers=present)
    code = response.json().get("code", "")
    assert (hostile.name, response.status_code, code) == (
        hostile.name,
        hostile.status,
        hostile.code,
    )
    assert response.status_code == 200 or len(response.content) <= 2048


async def test_queries_of_disconnected_clients_are_not_searched(source: TinySource) -> None:
    source.pipeline.gate = threading.Event()
    async with running(source, timeout_ms=30_000) as server:
        first = asyncio.create_task(
            exchange(server, WHOLE.replace(b"Host", b"Connection: close\r\nHost"))
        )
        assert await asyncio.to_thread(source.pipeline.started.wait, 5)
        writers = []
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(WHOLE.replace(b'"a"', b'"b"'))
            writers.append(writer)
        await _wait_for_metric(server, b'tusou_queue_depth{arm="a"} 50.0')
        for writer in writers:
            writer.close()
        await _wait_for_metric(server, b"tusou_cancelled_total 50.0")
        source.pipeline.gate.set()
        assert (await first).startswith(b"HTTP/1.1 200")
        assert source.pipeline.texts_received == ["a"]
        await _wait_for_metric(server, b'tusou_requests_total{route="/search",status="499"} 50.0')


async def _wait_for_metric(server: Running, line: bytes) -> None:
    async with asyncio.timeout(10):
        while line not in server.engine.metrics.expose():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
