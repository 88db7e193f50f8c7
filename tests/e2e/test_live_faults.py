"""A full disk and a compaction while a real service takes changes."""

import base64
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tusou_indexer.build import BuildSpec, build

from tests.browser.serving import Site, serving
from tests.drawing import image_bytes
from tusou.cli.progress import NoProgress
from tusou.live.log_file import log_path

pytestmark = pytest.mark.services

VECTOR = base64.b64encode(b"\0\0\x80?" + bytes(63 * 4)).decode()


@pytest.fixture(scope="module")
def original(tiny_model: Path, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index 300 images."""
    folder = tmp_path_factory.mktemp("faults")
    build(
        BuildSpec(str(pool), str(tiny_model), workers=1, device="cpu"),
        folder / "bundle",
        NoProgress(),
    )
    return folder / "bundle"


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


@contextmanager
def service(bundle: Path, **settings: str) -> Iterator[tuple[Site, httpx.Client]]:
    log = bundle.parent / f"log-{time.monotonic_ns()}"
    with (
        serving(bundle, log, TUSOU_LIVE="on", TUSOU_TIMEOUT_MS="30000", **settings) as site,
        httpx.Client(base_url=site.url, timeout=60) as client,
    ):
        yield site, client


def item(seed: int, padding: int = 0) -> dict[str, object]:
    image = base64.b64encode(image_bytes(seed) + bytes(padding)).decode()
    return {"image": image, "vector": VECTOR, "attributes": {"price": seed}}


@contextmanager
def files_limited_to(size: int, pid: int) -> Iterator[None]:
    """Let writes of a process behind `size` bytes of any file fail, as on a full disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_a_change_that_the_disk_refuses_is_507_and_nothing_acknowledged_is_lost(
    bundle: Path,
) -> None:
    def prices() -> dict[int, int]:
        listed = client.get("/items", params={"filter": '{"price": {"$gte": 0}}'}).json()
        return {each["item_id"]: each["attributes"]["price"] for each in listed["items"]}

    log = log_path(bundle)
    with service(bundle) as (site, client):
        for number in (1, 2):
            stored = client.put(f"/items/{5000 + number}", json=item(number, 200_000))
            assert stored.status_code == 200, stored.text
        size = log.stat().st_size
        # A part of the record is written before the disk refuses the rest.
        with files_limited_to(size + 1000, site.pid):
            for method, path, fields in (
                ("PUT", "/items/5001", item(11, 100_000)),
                ("PUT", "/items/5003", item(3, 100_000)),
            ):
                refused = client.request(method, path, json=fields)
                problem = refused.json()
                assert (refused.status_code, problem["code"]) == (507, "storage_full")
                assert refused.headers["content-type"] == "application/problem+json"
                assert log.stat().st_size == size
            operations = [{"op": "upsert", "item_id": 5003, **item(3, 100_000)}]
            batch = client.post("/items/batch", json={"operations": operations})
            assert batch.status_code == 507
            assert client.get("/items/5003").status_code == 404
            assert prices() == {5001: 1, 5002: 2}
            assert client.post("/search", json={"query": "裙"}).status_code == 200
        stored = client.put("/items/5004", json=item(4, 100_000))
        assert stored.json()["index_version"].endswith("+3")
        assert client.delete("/items/5002").json()["status"] == "deleted"
        assert prices() == {5001: 1, 5004: 4}
    with service(bundle) as (_, client):
        assert prices() == {5001: 1, 5004: 4}
        assert client.get("/items/5001/image").content == image_bytes(1) + bytes(200_000)
        assert client.get("/items/5003").status_code == 404


@dataclass
class Searches:
    """The searches of one client: how long they took, and the versions that answered."""

    url: str
    seconds: list[float] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, done: Callable[[], bool]) -> None:
        """Search on and on until done."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
            number = 0
            while not done():
                number += 1
                fields: dict[str, object] = {"query": f"红色碎花裙{number}", "top_k": 300}
                started = time.monotonic()
                response = client.post("/search", json=fields)
                self.seconds.append(time.monotonic() - started)
                body = response.json()
                if response.status_code != 200 or len(body["item_ids"]) != 300:
                    self.failures.append(response.text)
                else:
                    self.versions.append(body["index_version"])


def search_while(url: str, work: Callable[[], None]) -> list[Searches]:
    """Let two clients search until some work is done."""
    done = threading.Event()
    clients = [Searches(url), Searches(url)]
    threads = [threading.Thread(target=each.run, args=(done.is_set,)) for each in clients]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert [each.failures for each in clients] == [[], []]
    return clients


def longest(clients: list[Searches]) -> float:
    return max(max(each.seconds) for each in clients)


def test_no_search_waits_for_a_compaction_and_versions_never_go_backwards(bundle: Path) -> None:
    def served() -> str:
        version: str = client.get("/readyz").json()["index_version"]
        return version

    def compact() -> None:
        """Make the log longer than a MiB; go on to change items until the version is new."""
        nonlocal took
        for number in range(3):
            stored = client.put(f"/items/{5000 + number}", json=item(number, 400_000))
            assert stored.status_code == 200, stored.text
        started, first, price = time.monotonic(), served().partition("+")[0], 0
        while served().partition("+")[0] == first:
            assert time.monotonic() - started < 100
            price += 1
            changed = client.patch("/items/5000", json={"attributes": {"price": price}})
            assert changed.status_code == 200, changed.text
            time.sleep(0.05)
        took = time.monotonic() - started
        time.sleep(0.5)  # the version before is freed, and the log cut

    took = 0.0
    with service(bundle, TUSOU_COMPACT_MB="1") as (site, client):
        idle = longest(search_while(site.url, lambda: time.sleep(2)))
        clients = search_while(site.url, compact)
        # On a busy machine all takes longer; a search that waited would take as long as all of it.
        assert longest(clients) < idle + max(1, took / 4)
        for each in clients:
            parts = [version.partition("+") for version in each.versions]
            changes = [before for before, after in pairwise(parts) if before[0] != after[0]]
            assert len(changes) == 1
            positions = [int(position) for _, _, position in parts]
            assert positions == sorted(positions)
            assert positions[0] < positions[-1]
