"""Benchmarks on a slow or busy machine: they finish, and say what they could not measure."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from benchmarks import gate, page, performance
from benchmarks.http import run_clients
from benchmarks.performance import NOT_MEASURED
from benchmarks.record import RESULTS


async def test_one_answer_has_a_rate_and_no_percentiles() -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.3)  # longer than the clients go on
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        except asyncio.IncompleteReadError:  # a client that has only connected
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        figures = await run_clients(f"http://127.0.0.1:{port}", 1, 0.1)
    assert figures["queries_per_s"] > 0
    assert "p50_ms" not in figures


def test_a_part_that_fails_or_takes_too_long_says_so() -> None:
    assert performance.run_part("floor", 0.01)[NOT_MEASURED] == "took more than the 0 s left"
    assert performance.run_part("no part", 60)[NOT_MEASURED] == "ended with exit code 1"


def test_the_page_is_what_its_command_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = (page.DOCS / "performance.md").read_text("utf-8")
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.main()
    assert (tmp_path / "performance.md").read_text("utf-8") == kept


def test_the_page_is_written_without_what_was_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = json.loads((RESULTS / "performance.json").read_text("utf-8"))
    figures = result["figures"]
    figures["texts"] = {NOT_MEASURED: "took more than 120 s"}
    del figures["floor"]
    one_answer = {"queries_per_s": 0.4, "failed": 0}
    figures["http"]["32 clients"] = {"plain": one_answer, "tusou": one_answer}
    (tmp_path / "performance.json").write_text(json.dumps(result), "utf-8")
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.main()
    written = (tmp_path / "performance.md").read_text("utf-8")
    assert "**Not measured in this run**: floor; texts (took more than 120 s)." in written
    assert "| HTTP, 32 clients, queries/s | 0.4 | 0.4 |" in written
    assert "HTTP, 32 clients, p50" not in written
    assert "| text, batch 1 |" not in written


@pytest.mark.parametrize(("kept", "fails"), [(2.0, False), (4.0, True)])
def test_the_gate_fails_more_than_20_percent_under_the_kept_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float, fails: bool
) -> None:
    monkeypatch.setattr(gate, "KEPT", tmp_path / "gate.json")
    gate.KEPT.write_text(json.dumps({gate.processor_kind(): {"sleep": kept}}))
    task = ("sleep", lambda: time.sleep(0.04), lambda: time.sleep(0.02), 2)
    monkeypatch.setattr(gate, "tasks", lambda: [task])
    monkeypatch.setattr("sys.argv", ["gate"])
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    if fails:
        with pytest.raises(SystemExit, match="slower than kept by more than 20%: sleep"):
            gate.main()
    else:
        gate.main()
