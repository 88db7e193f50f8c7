"""The server process from outside: signals, exit codes, logs."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest
from tusou_service import healthcheck

pytestmark = pytest.mark.services

KEY = "a-key-of-at-least-16-characters"
WORKERS = pytest.mark.parametrize("workers", [1, 2])


class Process:
    """A server process, whose log is read line by line."""

    def __init__(self, mood: str, **settings: object) -> None:
        given = {f"TUSOU_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tusou_service.tiny_server", mood],
            stderr=subprocess.PIPE,
            env={**os.environ, "TUSOU_PORT": "0", **given},
            text=True,
        )
        assert self.process.stderr
        self.workers = int(str(settings.get("workers", 1)))
        self.log: list[dict[str, object]] = []
        self._stderr: IO[str] = self.process.stderr
        self.url = f"http://127.0.0.1:{self.line('listening')['port']}"

    def next_line(self) -> dict[str, object]:
        """Read one log line."""
        text = self._stderr.readline()
        assert text, self.log
        self.log.append(json.loads(text))
        return self.log[-1]

    def line(self, message: str) -> dict[str, object]:
        """Read up to the next log line with this message."""
        while self.next_line()["message"] != message:
            pass
        return self.log[-1]

    def lines(self, message: str, count: int) -> list[dict[str, object]]:
        """Return the log lines with this message; wait until there are `count` of them."""
        while len(lines := [line for line in self.log if line["message"] == message]) < count:
            self.line(message)
        return lines

    def serving(self) -> None:
        """Wait until all workers answer."""
        self.lines("listening", self.workers)
        self.lines("serving", self.workers)
        assert httpx.get(f"{self.url}/healthz", timeout=20).status_code == 200

    def exit_code(self) -> int:
        """Wait for the end and read the rest of the log."""
        self.log += [json.loads(text) for text in self._stderr]
        return self.process.wait(20)

    def search(self, query: str = "a") -> httpx.Response:
        return httpx.post(f"{self.url}/search", json={"query": query}, timeout=20)


@contextmanager
def process(mood: str = "well", **settings: object) -> Iterator[Process]:
    server = Process(mood, **settings)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        server._stderr.close()


@pytest.mark.parametrize(
    ("sig", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGTERM, 2)]
)
def test_a_signal_drains_then_exits_with_0(sig: signal.Signals, workers: int) -> None:
    with (
        process(drain_s=2, workers=workers) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        server.serving()
        slow = threads.submit(server.search, "slow")
        time.sleep(0.1)
        server.process.send_signal(sig)
        time.sleep(0.05)
        assert httpx.get(f"{server.url}/readyz").json()["code"] == "not_ready"
        assert server.search().status_code == 200
        server.process.send_signal(sig)  # a second signal changes nothing
        assert slow.result().status_code == 200
        assert server.exit_code() == 0
        assert len([line for line in server.log if line["message"] == "draining"]) == workers


@WORKERS
def test_requests_before_the_port_closes_succeed(workers: int) -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def keep_searching(server: Process) -> None:
        with httpx.Client(base_url=server.url, timeout=20) as client:
            while not stop.is_set():
                try:
                    statuses.append(client.post("/search", json={"query": "a"}).status_code)
                except httpx.ConnectError:
                    return  # the port is closed; anything else is a request lost

    with (
        process(drain_s=0.3, workers=workers) as server,
        ThreadPoolExecutor(8) as threads,
    ):
        server.serving()
        clients = [threads.submit(keep_searching, server) for _ in range(8)]
        while len(statuses) < 100:
            time.sleep(0.01)
        server.process.terminate()
        assert server.exit_code() == 0
        stop.set()
        for client in clients:
            client.result()
    assert set(statuses) == {200}


def test_a_signal_ends_the_process_while_it_loads() -> None:
    with process("loading", drain_s=0) as server:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        server.process.terminate()
        assert server.exit_code() == 0


@WORKERS
def test_requests_that_do_not_finish_in_time_get_a_503(workers: int) -> None:
    patient = {"stall_s": 60, "timeout_ms": 30_000, "workers": workers}
    with (
        process(drain_s=0, shutdown_s=1, **patient) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        server.serving()
        hanging = threads.submit(server.search, "hang")
        server.line("hanging")
        server.process.terminate()
        response = hanging.result()
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert server.exit_code() == 0


@WORKERS
def test_a_source_that_hangs_keeps_no_request_and_not_the_process(workers: int) -> None:
    with process("source-hangs", drain_s=0, timeout_ms=200, workers=workers) as server:
        server.serving()
        with ThreadPoolExecutor(40) as threads:
            hanging = [
                threads.submit(httpx.get, f"{server.url}/items/7/image", timeout=20)
                for _ in range(40)
            ]
            answers = {
                (each.result().status_code, each.result().json()["code"]) for each in hanging
            }
        assert answers == {(504, "deadline_exceeded")}
        assert httpx.get(f"{server.url}/items/7").status_code == 200 or workers == 1
        server.process.terminate()
        assert server.exit_code() == 0


@pytest.mark.parametrize(("query", "workers"), [("hang", 1), ("lost", 1), ("hang", 2)])
def test_a_broken_engine_ends_the_process_with_70(query: str, workers: int) -> None:
    with process(stall_s=0.3, timeout_ms=20_000, workers=workers) as server:
        server.serving()
        began = time.monotonic()
        response = server.search(query)
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert server.exit_code() == 70
        assert time.monotonic() - began < 5
        assert [line["exit_code"] for line in server.log if "exit_code" in line] == [70]


@pytest.mark.parametrize(
    ("mood", "code", "name", "workers"),
    [
        ("corrupt", 1, "corrupt_bundle", 1),
        ("mismatch", 78, "incompatible_bundle", 1),
        ("mismatch", 78, "incompatible_bundle", 2),
        ("bug", 1, "internal", 1),
    ],
)
def test_a_bundle_that_cannot_be_loaded_ends_the_process(
    mood: str, code: int, name: str, workers: int
) -> None:
    with process(mood, workers=workers) as server:
        assert server.exit_code() == code
        errors = [line for line in server.log if line["level"] == "error"]
        assert 1 <= len(errors) <= workers
        for line in errors:
            assert (line["code"], line["exit_code"]) == (name, code)
            assert ("traceback" in line) is (mood == "bug")


def test_the_log_is_json_with_ids_and_without_secrets(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# rotation\n{KEY}\n")
    with process(api_keys=keys, log_level="debug", drain_s=0) as server:
        server.line("serving")
        headers = {"Authorization": f"Bearer {KEY}", "X-Request-Id": "mine"}
        query = "裙\n{" + "a" * 200
        httpx.post(f"{server.url}/search", json={"query": query}, headers=headers)
        httpx.post(f"{server.url}/search", json={"query": "b"}, headers={"X-API-Key": KEY + "x"})
        server.process.terminate()
        assert server.exit_code() == 0
    (searched,) = [line for line in server.log if line["message"] == "searched"]
    assert searched["queries"] == [("裙 {" + "a" * 200)[:128]]
    requests = [line for line in server.log if line["message"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/search", 200),
        ("/search", 401),
    ]
    assert requests[0]["request_id"] == "mine"
    assert KEY not in json.dumps(server.log)


@WORKERS
def test_sighup_reads_the_keys_again_and_ends_nothing(workers: int, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    new = "another-key-of-16-characters"

    def statuses(server: Process) -> list[int]:
        return [
            server_status(server, {"Authorization": f"Bearer {key}"})
            for key in (KEY, new) * workers
        ]

    with process(api_keys=keys, drain_s=0, workers=workers) as server:
        server.serving()
        assert statuses(server) == [200, 401] * workers
        keys.write_text(f"{new}\n")
        server.process.send_signal(signal.SIGHUP)
        assert [line["keys"] for line in server.lines("API keys read", workers)] == [1] * workers
        assert statuses(server) == [401, 200] * workers
        keys.write_text("short\n")
        server.process.send_signal(signal.SIGHUP)
        while sum(line.get("code") == "invalid_input" for line in server.log) < workers:
            server.next_line()
        assert statuses(server) == [401, 200] * workers
        server.process.terminate()
        assert server.exit_code() == 0


def server_status(server: Process, headers: dict[str, str]) -> int:
    response = httpx.post(f"{server.url}/search", json={"query": "a"}, headers=headers, timeout=20)
    return response.status_code


def test_sighup_does_nothing_without_keys() -> None:
    with process(drain_s=0) as server:
        server.serving()
        server.process.send_signal(signal.SIGHUP)
        assert server.search().status_code == 200
        server.process.terminate()
        assert server.exit_code() == 0


def test_the_health_check_follows_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    with process(drain_s=20) as server:
        server.serving()
        monkeypatch.setenv("TUSOU_HOST", "0.0.0.0")
        monkeypatch.setenv("TUSOU_PORT", server.url.rpartition(":")[2])
        assert healthcheck.main() == 0
        server.process.terminate()
        time.sleep(0.1)
        assert healthcheck.main() == 1
    assert healthcheck.main() == 1


def run_tusou(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tusou", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_a_port_in_use_is_a_one_line_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        completed = run_tusou("serve", str(tmp_path), "--port", port)
    assert completed.returncode == 1
    assert completed.stderr == (
        f"port_taken: Cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Stop the process that uses it, or pass --port.\n"
    )


def test_a_bad_setting_is_a_usage_error() -> None:
    completed = run_tusou("serve", TUSOU_PORT="many", TUSOU_MAX_BATCH="0")
    assert completed.returncode == 2
    assert [line.split(":")[0] for line in completed.stderr.splitlines()] == [
        "TUSOU_PORT",
        "TUSOU_MAX_BATCH",
    ]


def test_a_missing_bundle_is_an_error_that_says_how_to_set_it() -> None:
    completed = run_tusou("serve")
    assert completed.returncode == 1
    assert "set TUSOU_BUNDLE" in completed.stderr


def test_a_folder_that_is_not_a_bundle_ends_the_process(tmp_path: Path) -> None:
    completed = run_tusou("serve", str(tmp_path), "--port", "0")
    assert completed.returncode == 1
    *_, error, stopped = map(json.loads, completed.stderr.splitlines())
    assert error["code"] == "corrupt_bundle"
    assert (stopped["message"], stopped["exit_code"]) == ("stopped", 1)
