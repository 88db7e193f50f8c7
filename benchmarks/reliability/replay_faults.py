"""Replays through a proxy that spoils one reply in five, and replays that are killed.

python -m benchmarks.reliability.replay_faults [--full]

Every row must be in the output once, the same bytes as without faults; requests are counted.
"""

import argparse
import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from benchmarks.record import record
from benchmarks.reliability.clients import address
from benchmarks.running import demo_bundle, service
from benchmarks.stock import queries

_SHARE = 0.2
_BATCH = 4  # queries of a request
_FAULTS = ("reset", "cut", "garbage", "stall")
_STALL_SECONDS = 0.5


@dataclass(slots=True)
class ChaosProxy:
    """Passes requests on to a service, and spoils the replies to a share of them."""

    target: tuple[str, int]
    draw: random.Random
    requests: int = 0
    spoiled: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FAULTS, 0))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client, request after request."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                request = await _read_message(reader)
                self.requests += 1
                reply = await self._ask(request)
                if self.draw.random() >= _SHARE:
                    writer.write(reply)
                    await writer.drain()
                    continue
                fault = self.draw.choice(_FAULTS)
                self.spoiled[fault] += 1
                await _spoil(fault, reply, writer)
                break
        writer.close()

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self.target)
        writer.write(request)
        reply = await _read_message(reader)
        writer.close()
        return reply


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    """Return the bytes of a request or response; its length is in its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
    return head + await reader.readexactly(length)


async def _spoil(fault: str, reply: bytes, writer: asyncio.StreamWriter) -> None:
    if fault == "cut":
        writer.write(reply[: len(reply) * 2 // 3])
    elif fault == "garbage":
        body = b"<html>an error page"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    elif fault == "stall":
        await asyncio.sleep(_STALL_SECONDS)
    with suppress(OSError):
        await writer.drain()


def main() -> None:
    """Measure and print, and record with --full; exit 1 if an output differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="10,000 rows and 200 kills instead of 500 and 5"
    )
    full = parser.parse_args().full
    rows, kills = (10_000, 200) if full else (500, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle, asked = demo_bundle(folder, items=300), folder / "queries.jsonl"
        lines = (
            json.dumps({"query_id": number, "query_text": text}, ensure_ascii=False)
            for number, text in enumerate(queries(rows))
        )
        asked.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with service(bundle, TUSOU_TIMEOUT_MS="30000") as running:
            expected = _replay(running.url, asked, folder / "expected.jsonl")
            figures = asyncio.run(
                _through_proxy(running.url, asked, folder / "faulty.jsonl", -(-rows // _BATCH))
            )
            figures["differs after faults"] = (
                folder / "faulty.jsonl"
            ).read_bytes() != expected.read_bytes()
            figures |= _killed(running.url, asked, folder / "killed.jsonl", expected, kills)
    figures = {"rows": rows, **figures}
    record("reliability.replay_faults", figures, save=full)
    sys.exit(bool(figures["differs after faults"] or figures["differs after kills"]))


def _command(url: str, asked: Path, out: Path) -> list[str]:
    words = ["replay", str(asked), "--out", str(out), "--url", url, "--batch-size", str(_BATCH)]
    return [sys.executable, "-m", "tusou", *words, "--quiet"]


def _replay(url: str, asked: Path, out: Path) -> Path:
    subprocess.run(_command(url, asked, out), check=True, stdout=subprocess.DEVNULL)
    return out


async def _through_proxy(url: str, asked: Path, out: Path, needed: int) -> dict[str, object]:
    """Replay through the proxy; return how many requests it saw for each that was `needed`."""
    proxy = ChaosProxy(address(url), random.Random(0))
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        command = _command(f"http://127.0.0.1:{port}", asked, out)
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        code = await process.wait()
    return {
        "exit code": code,
        "spoiled replies": proxy.spoiled,
        "requests per request needed": round(proxy.requests / needed, 2),
    }


def _killed(url: str, asked: Path, out: Path, expected: Path, kills: int) -> dict[str, object]:
    """Kill replays at random moments, and resume each until it is finished."""
    draw, done, differing = random.Random(1), 0, 0
    began = monotonic()
    _replay(url, asked, out)
    longest = monotonic() - began
    for _ in itertools.count():
        if done == kills:
            break
        out.unlink(missing_ok=True)
        with subprocess.Popen(_command(url, asked, out), stdout=subprocess.DEVNULL) as process:
            sleep(draw.uniform(0, longest))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                done += 1
        if not out.exists():
            _replay(url, asked, out)
        differing += out.read_bytes() != expected.read_bytes()
    return {"kills": kills, "differs after kills": differing}


if __name__ == "__main__":
    main()
