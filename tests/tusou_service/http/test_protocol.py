"""A real server with clients that offer upgrades, pipeline, and send what is not HTTP."""

import asyncio
import json
import logging
import re
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from tests.tusou_service.tiny import Running, TinySource, running

BODY = b'{"query":"a"}'
HEAD = b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: 13\r\n"
GOOD = HEAD + LENGTH + b"\r\n" + BODY
LAST = HEAD + LENGTH + b"Connection: close\r\n\r\n" + BODY
CHUNKED = b"5\r\n" + BODY[:5] + b"\r\n8\r\n" + BODY[5:] + b"\r\n0\r\n\r\n"


@pytest.fixture
async def server(source: TinySource) -> AsyncIterator[Running]:
    async with running(source, body_s=0.5) as server:
        yield server


async def exchange(server: Running, *parts: bytes) -> list[tuple[int, str]]:
    """Send the parts; return status and code of each response until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.01)
    received = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return responses(received)


def responses(received: bytes) -> list[tuple[int, str]]:
    """Split what a connection received, with nothing left over."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = int(re.findall(rb"content-length: ([0-9]+)", head.lower())[0])
        code = json.loads(rest[:length]).get("code", "")
        found.append((int(head.split()[1]), code))
        received = rest[length:]
    return found


def own_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    """Return message and status of our log lines; nothing may be a warning or worse."""
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    own = [record for record in caplog.records if record.name.startswith("tusou_service")]
    return [(record.getMessage(), vars(record)["fields"]["status"]) for record in own]


OFFERS = [
    pytest.param(fields, id=fields[0].decode() + " / " + fields[-1].decode())
    for fields in (
        [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQ"],
        [b"Connection: keep-alive, Upgrade", b"Upgrade: h2c"],
        [b"connection: UPGRADE", b"upgrade: H2C"],
        [b"CONNECTION:upgrade,keep-alive", b"Upgrade: h2c, websocket"],
        [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"],
        [b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: TLS/1.2"],
        [b"Upgrade: h2c", b"Upgrade: foo", b"Connection: Upgrade"],
        [b"Upgrade: h2c"],
        [b"Connection: Upgrade"],
    )
]


@pytest.mark.parametrize("fields", OFFERS)
async def test_an_offer_to_upgrade_is_ignored(server: Running, fields: list[bytes]) -> None:
    offer = b"".join(field + b"\r\n" for field in fields)
    plain = HEAD + offer + LENGTH + b"\r\n" + BODY
    chunked = HEAD + offer + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED
    ready = b"GET /readyz HTTP/1.1\r\nHost: a\r\n" + offer + b"\r\n"
    sent = plain + chunked + ready + plain + LAST
    answers = [(200, "")] * 5
    assert await exchange(server, sent) == answers
    halves = [sent[start : start + 37] for start in range(0, len(sent), 37)]
    assert await exchange(server, *halves) == answers


async def test_an_offer_may_ask_to_close(server: Running) -> None:
    offer = b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"
    assert await exchange(server, HEAD + offer + LENGTH + b"\r\n" + BODY) == [(200, "")]


async def test_an_offer_hides_no_second_length(server: Running) -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n"
    assert await exchange(server, HEAD + LENGTH + offer + b"\r\n" + BODY) == [(400, "bad_http")]


async def test_curl_offers_http_2(server: Running) -> None:
    curl = shutil.which("curl")
    if not curl:
        pytest.skip("curl is not installed")
    command = [curl, "--http2", "-sS", "-H", "Content-Type: application/json", "-d", BODY]
    command += ["-o", "/dev/null", "-w", "%{http_code} ", f"{server.url}/search"]
    command += ["--next", *command[1:]]
    completed = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, timeout=20, check=False
    )
    assert (completed.stdout, completed.stderr) == (b"200 200 ", b"")


GARBAGE = [
    pytest.param(b"garbage\r\n\r\n", id="a word"),
    pytest.param(bytes(20_000), id="NULs"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 90, id="TLS"),
    pytest.param(b"GET / HTTP/1.1\r\nA\x00b: c\r\n\r\n", id="a bad header"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    pytest.param(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", id="CONNECT"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("split", [False, True])
async def test_garbage_is_a_400_after_the_good_responses(
    server: Running, garbage: bytes, split: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    parts = [GOOD, GOOD + garbage, b"more" * 99] if split else [GOOD + GOOD + garbage * 3]
    assert await exchange(server, *parts) == [(200, ""), (200, ""), (400, "bad_http")]
    assert sorted(own_lines(caplog)) == [("connection refused", 400)] + [("request", 200)] * 2


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_alone_is_one_400_and_one_line(
    server: Running, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert await exchange(server, garbage, garbage) == [(400, "bad_http")]
    assert own_lines(caplog) == [("connection refused", 400)]


async def test_garbage_within_a_body_is_the_error_of_that_request(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bad = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\nzz\r\n"
    for parts in ([GOOD + bad + GOOD], [GOOD, bad, GOOD]):
        caplog.clear()
        assert await exchange(server, *parts) == [(200, ""), (400, "bad_http")]
        assert sorted(own_lines(caplog)) == [("request", 200), ("request", 400)]


async def test_garbage_after_the_last_response_is_ignored(server: Running) -> None:
    assert await exchange(server, LAST + bytes(9000), bytes(9000)) == [(200, "")]


async def test_the_end_of_a_large_body_does_not_count_as_headers(server: Running) -> None:
    body = BODY + b" " * 50_000  # its end alone is larger than all headers may be
    large = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert await exchange(server, large[:9000], large[9000:], LAST) == [(200, "")] * 2
    assert await exchange(server, large[:9000], large[9000:] + LAST) == [(200, "")] * 2


async def test_headers_that_do_not_end_do_not_cut_an_earlier_response(source: TinySource) -> None:
    source.pipeline.text_seconds = 0
    async with running(source, header_s=0.1, timeout_ms=20_000) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HEAD + LENGTH + b"\r\n" + BODY[:5])
        await asyncio.sleep(0.01)
        writer.write(BODY[5:] + b"GET /readyz HTTP/1.1\r\nHo")
        assert responses(await asyncio.wait_for(reader.read(), 10)) == [(200, "")]
        writer.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(b"GET /readyz HTTP/1.1\r\n\r\n", 400, id="none"),
        pytest.param(b"GET /readyz HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n", 400, id="two"),
        pytest.param(b"GET /readyz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two, 1.0"),
        pytest.param(b"GET /readyz HTTP/1.0\r\n\r\n", 200, id="none, 1.0"),
        pytest.param(
            b"GET /readyz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", 200, id="empty"
        ),
    ],
)
async def test_a_request_has_one_host(server: Running, request_: bytes, status: int) -> None:
    answers = await exchange(server, request_)
    assert answers == [(status, "bad_http" if status == 400 else "")]


async def test_responses_say_close_during_the_drain(server: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(GOOD)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"connection" not in head.lower()
    server.engine.draining = True
    writer.write(GOOD)
    rest = await asyncio.wait_for(reader.read(), 10)
    assert rest.count(b"HTTP/1.1 200") == rest.count(b"connection: close") == 1
    writer.close()
    # A problem that closes the connection anyway says so once.
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 10)).lower().count(b"connection: close") == 1
    writer.close()
