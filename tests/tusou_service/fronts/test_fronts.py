"""Two processes that speak HTTP over one engine: as one process would, and how they end."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tusou_service.engine.engine import Engine
from tusou_service.fronts.front import Setup
from tusou_service.fronts.keeper import Fronts, FrontsLost
from tusou_service.settings import Settings

from tests.tusou_service.test_server import Process, process
from tests.tusou_service.tiny import TinySource

ASKED: tuple[tuple[str, str, object], ...] = (
    ("POST", "/search", {"query": "红裙", "top_k": 3}),
    ("POST", "/search", {"item_id": 7, "offset": 2, "exclude": [1]}),
    ("POST", "/search", {"item_id": 99}),
    ("POST", "/search", {"query": " "}),
    ("POST", "/search", {"query": "裙", "image": "AAAA"}),
    ("POST", "/search", {"query": "裙", "topk": 1}),
    ("POST", "/search/batch", {"queries": ["a", "b"], "top_k": 2}),
    ("POST", "/v1/embeddings", {"input": ["a", "b"]}),
    ("POST", "/v1/embeddings", {"input": "a", "dimensions": 3}),
    ("GET", "/items/7", None),
    ("GET", "/items/7/image", None),
    ("GET", "/items/8", None),
    ("GET", "/info", None),
    ("GET", "/readyz", None),
    ("GET", "/nowhere", None),
    ("POST", "/admin/reload", None),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with process(http_processes=2, drain_s=0, timeout_ms=20_000) as server:
        server.serving()
        yield server


def fronts_of(server: Process) -> set[int]:
    """Name the fronts that the log names."""
    named = [(line["message"], int(str(line["pid"]))) for line in server.log if "pid" in line]
    started, lost = ({pid for said, pid in named if said == one} for one in ("front", "front lost"))
    return started - lost


def said(url: str) -> list[tuple[int, object]]:
    """Ask everything over connections of their own, so that every front is asked."""
    answers: list[tuple[int, object]] = []
    with httpx.Client(base_url=url, headers={"Connection": "close"}, timeout=20) as client:
        for method, path, body in ASKED * 2:
            response = client.request(method, path, json=body)
            shown: object = response.content
            if "json" in response.headers["content-type"]:
                known = response.json()
                shown = {one: known[one] for one in known.keys() - {"took_ms", "request_id"}}
            answers.append((response.status_code, shown))
    return answers


def counted(url: str, name: str) -> float:
    """Sum one metric of all its labels."""
    shown = httpx.get(f"{url}/metrics", timeout=20).text
    return sum(float(one) for one in re.findall(rf"^{name}(?:{{.*}})? (.*)$", shown, re.MULTILINE))


def test_two_processes_answer_what_one_answers(server: Process) -> None:
    with process(drain_s=0, timeout_ms=20_000) as alone:
        alone.serving()
        assert said(server.url) == said(alone.url)


def test_connections_go_to_the_fronts_in_turn_and_any_of_them_counts_for_all(
    server: Process,
) -> None:
    before = counted(server.url, "tusou_requests_total")
    clients = [httpx.Client(base_url=server.url, timeout=20) for _ in range(4)]
    for client in clients:
        for _ in range(5):
            assert client.post("/search", json={"query": "a"}).status_code == 200
        client.close()
    # The scrape before counts as well.
    assert counted(server.url, "tusou_requests_total") == before + 21
    exposed = httpx.get(f"{server.url}/metrics").text
    assert exposed.count("# TYPE tusou_requests_total ") == 1
    assert 'tusou_index_info{arm="a",version="v1"} 1.0' in exposed


def test_a_bug_is_a_constant_500_and_a_traceback_under_its_id(server: Process) -> None:
    response = httpx.post(
        f"{server.url}/search", json={"query": "bug"}, headers={"X-Request-Id": "unlucky"}
    )
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "bug" not in response.text
    line = server.line("request failed")
    assert line["request_id"] == "unlucky"
    assert "ZeroDivisionError: a bug" in str(line["traceback"])


def test_clients_who_leave_free_their_places() -> None:
    with (
        process(http_processes=2, queue_size=2, stall_s=60, timeout_ms=30_000) as server,
        ThreadPoolExecutor(1) as threads,
    ):
        server.serving()
        hanging = threads.submit(server.search, "hang")
        server.line("hanging")
        leavers = [leaver(server, place) for place in (1, 2)]
        for _ in range(4):  # both fronts, and before and after they were told
            refused = server.search()
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
        for one in leavers:
            one.close()
        until(lambda: counted(server.url, "tusou_cancelled_total") == 2)
        until(lambda: briefly(server) == 504)  # there is room again
        server.process.kill()
        with pytest.raises((httpx.HTTPError, AssertionError)):
            assert hanging.result().status_code == 200


def leaver(server: Process, place: int) -> socket.socket:
    """Search over a connection that will be closed, and wait until it has its place."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    client = socket.create_connection((host, int(port)))
    body = b'{"query":"a"}'
    client.sendall(
        b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    until(lambda: counted(server.url, "tusou_queue_depth") == place)
    return client


def briefly(server: Process) -> int:
    """Search with a short time limit; return the status."""
    headers = {"X-Request-Timeout-Ms": "50"}
    answer = httpx.post(f"{server.url}/search", json={"query": "a"}, headers=headers, timeout=20)
    return answer.status_code


def until(seen: Callable[[], bool]) -> None:
    """Look again until it is so; the test's time limit ends it otherwise."""
    while not seen():
        time.sleep(0.01)


def test_reloads_under_clients_fail_nothing_and_mix_nothing() -> None:
    wrong: list[object] = []
    stop = threading.Event()

    def keep_asking(server: Process) -> int:
        answered = 0
        with httpx.Client(base_url=server.url, timeout=20) as client:
            while not stop.is_set():
                answer = client.post("/search/batch", json={"queries": ["a", "b", "c"]}).json()
                first = 1000 * int(answer["index_version"][1:])
                if any(one["item_ids"][0] != first for one in answer["results"]):
                    wrong.append(answer)
                answered += 1
        return answered

    with process("flips", http_processes=2, drain_s=0) as server, ThreadPoolExecutor(4) as threads:
        server.serving()
        asking = [threads.submit(keep_asking, server) for _ in range(4)]
        with httpx.Client(base_url=server.url, headers={"Connection": "close"}) as operator:
            for version in range(2, 22):
                assert operator.post("/admin/reload").json()["index_version"] == f"v{version}"
                # Another connection is another front's.
                assert operator.get("/readyz").json()["index_version"] == f"v{version}"
        stop.set()
        assert min(one.result() for one in asking) > 5
    assert not wrong


def test_two_bundles_and_one_rate_for_all_fronts() -> None:
    with process(
        http_processes=2, ab_bundle="b", ab_share=0, rate_per_s=0.001, rate_burst=4, drain_s=0
    ) as server:
        server.line("serving")
        server.serving()
        answers = [
            httpx.post(f"{server.url}/search", json={"query": "a"}, headers={"X-Arm": arm})
            for arm in ("a", "a", "b", "b", "a", "b")
        ]
        assert [one.status_code for one in answers] == [200] * 4 + [429] * 2
        versions = [one.json().get("index_version") for one in answers]
        assert versions == ["v1", "v1", "v2", "v2", None, None]
        assert int(answers[-1].headers["retry-after"]) > 900
        assert counted(server.url, "tusou_arm_requests_total") == 6
        assert httpx.post(f"{server.url}/admin/reload").json()["b"]["status"] == "unchanged"


def test_a_front_that_is_killed_is_replaced_and_takes_no_count_along(server: Process) -> None:
    before = counted(server.url, "tusou_requests_total")
    fronts = fronts_of(server)
    killed = min(fronts)
    os.kill(killed, signal.SIGKILL)
    assert server.line("front lost")["pid"] == killed
    assert server.line("front")["pid"] not in fronts
    for _ in range(20):  # the other front answers meanwhile
        assert server.search().status_code == 200
    assert counted(server.url, "tusou_requests_total") >= before + 20
    assert len(fronts_of(server)) == 2


def test_a_parent_that_is_killed_takes_its_fronts_along() -> None:
    with process(http_processes=2) as server:
        server.serving()
        assert server.search().status_code == 200
        fronts = fronts_of(server)
        assert len(fronts) == 2
        server.process.kill()
        server.exit_code()  # reads the log to its end: the fronts hold it open as long as they run
        until(lambda: not any(map(_runs, fronts)))
        with pytest.raises(httpx.ConnectError):
            server.search()


def _runs(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return state.stdout.strip()[:1] not in ("", "Z")  # nobody may have asked how it ended


@pytest.mark.parametrize(
    ("python", "failure"), [("/bin/false", FrontsLost), ("/nowhere", FileNotFoundError)]
)
async def test_fronts_that_cannot_live_are_given_up(
    python: str, failure: type[Exception], source: TinySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    settings = Settings(http_processes=3)
    engine = Engine(source, settings.batching())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with Fronts(Setup(settings, None), listener, (engine,), {}) as fronts:
            while not fronts.failure:  # noqa: ASYNC110 - it offers no event
                await asyncio.sleep(0.01)
        assert isinstance(fronts.failure, failure)
