"""Several workers on one port: metrics, reloads, deaths, and the end of the supervisor."""

import asyncio
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path

import httpx
import pytest
from tusou_service.settings import Settings
from tusou_service.supervisor import Supervisor

from tests.tusou_service.test_server import Process, process
from tests.tusou_service.tiny_server import make_mood_parts

pytestmark = pytest.mark.services


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the time limit of the test ends the wait."""
    while not condition():
        time.sleep(0.01)


def workers_of(server: Process) -> set[int]:
    """Return the process ids of the workers, by the log read so far."""
    started, ended = (
        {int(str(line["pid"])) for line in server.log if line["message"] == f"worker {event}"}
        for event in ("started", "ended")
    )
    return started - ended


def metric(server: Process, name: str) -> float:
    """Return the sum of a metric over its labels."""
    text = httpx.get(f"{server.url}/metrics", timeout=20).text
    values = re.findall(rf"^{name}(?:{{.*}})? (.*)$", text, re.MULTILINE)
    return sum(map(float, values))


def versions_seen(server: Process, connections: int = 24) -> set[str]:
    """Return the versions that new connections, spread over the workers, are answered from."""
    seen = set()
    with httpx.Client(base_url=server.url, headers={"Connection": "close"}, timeout=20) as client:
        for _ in range(connections):
            seen.add(client.post("/search", json={"query": "a"}).json()["index_version"])
    return seen


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with process(workers=2, drain_s=0, timeout_ms=20_000) as server:
        server.serving()
        yield server


def test_one_scrape_shows_the_metrics_of_all_workers(server: Process) -> None:
    before = metric(server, "tusou_requests_total")
    assert versions_seen(server, 40) == {"v1"}
    # The scrape before counts too, and the one that reads does not yet.
    assert metric(server, "tusou_requests_total") == before + 41
    text = httpx.get(f"{server.url}/metrics").text
    assert text.count("# TYPE tusou_requests_total ") == 1
    assert 'tusou_index_info{arm="a",version="v1"} 1.0' in text
    assert 'tusou_items{arm="a"} 50.0' in text
    assert "\ntusou_ready 1.0" in text


def test_the_metrics_of_processes_are_those_of_all_workers(server: Process) -> None:
    pids = workers_of(server)
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    reported = metric(server, "process_resident_memory_bytes") / resource.getpagesize()
    assert min(pages) * 1.5 < reported < max(pages) * 2.5
    text = httpx.get(f"{server.url}/metrics").text
    assert "# TYPE process_cpu_seconds_total counter" in text
    assert text.count("# TYPE process_open_fds gauge") == 1
    started = metric(server, "process_start_time_seconds")
    assert abs(started - time.time()) < 3600


def test_both_workers_answer(server: Process) -> None:
    pids = workers_of(server)
    assert len(pids) == 2
    ticks = {pid: cpu_ticks(pid) for pid in pids}
    versions_seen(server, 100)
    assert all(cpu_ticks(pid) > ticks[pid] for pid in pids)


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_queues_add_up() -> None:
    with (
        process(workers=2, stall_s=60, timeout_ms=20_000, drain_s=0) as server,
        ThreadPoolExecutor(40) as threads,
    ):
        server.serving()
        hanging = [threads.submit(server.search, "hang") for _ in range(16)]
        server.lines("hanging", 2)  # in both workers
        waiting = [threads.submit(server.search) for _ in range(10)]
        # All 26 searches wait, except those of the two hanging batches.
        until(lambda: 10 <= metric(server, "tusou_queue_depth") <= 24)
        server.process.kill()
        for search in hanging + waiting:
            assert isinstance(search.exception(), httpx.HTTPError)


def test_a_reload_reaches_all_workers(tmp_path: Path) -> None:
    current = tmp_path / "CURRENT"
    current.write_text("v1")
    with process("follows", workers=3, bundle=tmp_path, drain_s=0) as server:
        server.serving()
        assert versions_seen(server) == {"v1"}
        current.write_text("v2")
        assert versions_seen(server) == {"v1"}  # workers do not follow unasked
        result = httpx.post(f"{server.url}/admin/reload", timeout=20).json()
        assert (result["status"], result["index_version"]) == ("swapped", "v2")
        server.lines("serving", 6)
        assert versions_seen(server) == {"v2"}
        assert metric(server, "tusou_reloads_total") == 3
        current.write_text("bad")
        refused = httpx.post(f"{server.url}/admin/reload", timeout=20)
        assert (refused.status_code, refused.json()["code"]) == (409, "corrupt_bundle")
        assert versions_seen(server) == {"v2"}
        assert metric(server, "tusou_reloads_total") == 4  # the others were not asked


def test_all_workers_follow_current(tmp_path: Path) -> None:
    def publish(version: str) -> None:
        """Name the version by one rename: a worker must not read half of it."""
        (tmp_path / "CURRENT.new").write_text(version)
        (tmp_path / "CURRENT.new").replace(tmp_path / "CURRENT")

    publish("v1")
    with process("follows", workers=2, bundle=tmp_path, follow_s=0.05, drain_s=0) as server:
        server.serving()
        publish("v2")
        server.lines("serving", 4)
        assert versions_seen(server) == {"v2"}
        publish("bad")
        server.lines("reload failed: vectors.npy differs", 2)
        time.sleep(0.5)  # ten periods
        assert versions_seen(server) == {"v2"}
        assert metric(server, 'tusou_reloads_total{result="failed"}') == 2  # once in each worker
        publish("v3")
        server.lines("serving", 6)
        assert versions_seen(server) == {"v3"}


def test_a_killed_worker_loses_its_requests_in_flight_alone() -> None:
    statuses: list[int] = []
    failures: list[str] = []
    stop = threading.Event()

    def search_on(url: str, client_number: int) -> None:
        client = httpx.Client(base_url=url, timeout=20)
        while not stop.is_set():
            try:
                statuses.append(client.post("/search", json={"query": "a"}).status_code)
            except httpx.TransportError as error:
                failures.append(f"{client_number}: {error!r}")
                client.close()
                client = httpx.Client(base_url=url, timeout=20)
        client.close()

    with (
        process("loads-slowly", workers=2, drain_s=0, timeout_ms=20_000) as server,
        ThreadPoolExecutor(8) as threads,
    ):
        server.serving()
        counted = metric(server, "tusou_requests_total")
        clients = [threads.submit(search_on, server.url, number) for number in range(8)]
        until(lambda: len(statuses) > 100)
        killed = min(workers_of(server))
        os.kill(killed, signal.SIGKILL)
        ended = server.line("worker ended")
        assert (ended["pid"], ended["worker_exit_code"]) == (killed, -signal.SIGKILL)
        server.line("listening")  # the replacement
        answered = len(statuses)
        until(lambda: len(statuses) > answered + 100)
        stop.set()
        for client in clients:
            client.result()
        assert set(statuses) == {200}
        assert len({failure.partition(":")[0] for failure in failures}) == len(failures) < 8
        assert metric(server, "tusou_requests_total") >= counted + len(statuses)
        assert len(workers_of(server)) == 2
        server.process.terminate()
        assert server.exit_code() == 0


def test_a_killed_supervisor_takes_its_workers_along() -> None:
    with process(workers=2) as server:
        server.serving()
        pids = workers_of(server)
        server.process.kill()
        server.exit_code()  # reads the log to its end, which the workers hold open while they run
        until(lambda: not any(map(is_running, pids)))
        with pytest.raises(httpx.ConnectError):
            server.search()


def is_running(pid: int) -> bool:
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return state[:1] not in ("", "Z")


def test_a_second_service_cannot_join_the_port(server: Process) -> None:
    environment = {**os.environ, "TUSOU_PORT": server.url.rpartition(":")[2], "TUSOU_WORKERS": "2"}
    command = [sys.executable, "-m", "tests.tusou_service.tiny_server", "well"]
    second = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert second.returncode == 1
    assert "PortTaken" in second.stderr


@pytest.fixture
def dying_workers(tmp_path: Path) -> Iterator[None]:
    """Let workers kill themselves as soon as they start."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -9 $$\n")
    script.chmod(0o755)
    resource_tracker.ensure_running()  # multiprocessing would start it by the script, too
    multiprocessing.set_executable(str(script))
    yield
    multiprocessing.set_executable(sys.executable)


async def supervise(workers: int, folder: Path) -> int:
    make_parts = partial(make_mood_parts, mood="well")
    supervisor = Supervisor(Settings(workers=workers), make_parts, str(folder))
    async with asyncio.timeout(60):
        return await supervisor.run()


@pytest.mark.usefixtures("dying_workers")
@pytest.mark.parametrize("workers", [1, 3])
async def test_workers_that_die_at_once_end_the_service(
    workers: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert await supervise(workers, tmp_path) == 70
    ended = [record for record in caplog.records if record.getMessage() == "worker ended"]
    assert 10 <= len(ended) < 10 + workers
    assert "the workers end as fast as they start" in caplog.text


@pytest.mark.usefixtures("dying_workers")
async def test_a_worker_that_cannot_be_restarted_ends_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = SpawnProcess.start
    started: list[SpawnProcess] = []

    def start_twice(process: SpawnProcess) -> None:
        if len(started) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(process)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", start_twice)
    assert await supervise(2, tmp_path) == 70
    assert "cannot start a worker: [Errno 11] Resource temporarily unavailable" in caplog.text
