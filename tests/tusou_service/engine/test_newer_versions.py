"""A client's version that this replica does not serve yet: loaded, refused, or known as old."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient
from tusou_service.engine.versions import BundleVersions
from tusou_service.settings import Settings

from tests.tusou_service.tiny import PNG, TinyBundle, TinyPipeline, TinySource, connected
from tests.tusou_service.tiny import make_parts as make_tiny_parts
from tusou.core.errors import CorruptBundle, NotReady, StoreUnreachable


def publish(source: TinySource, version: str, first_id: int) -> None:
    source.pipeline = TinyPipeline(TinyBundle(version), first_id)


def search(client: TestClient, version: str | None, timeout_ms: int = 20_000) -> tuple[int, object]:
    """Return the status and the version of the answer, or the code of the problem."""
    body = {"query": "裙"} | ({} if version is None else {"index_version": version})
    headers = {"X-Request-Timeout-Ms": str(timeout_ms)}
    response = client.post("/search", json=body, headers=headers)
    answer = response.json()
    if response.status_code == 503:
        assert response.headers["retry-after"] == "1"
    return response.status_code, answer.get("index_version", answer.get("code"))


def test_a_version_that_another_replica_serves_is_loaded_at_once(
    client: TestClient, source: TinySource
) -> None:
    publish(source, "v2", 2000)
    assert search(client, "v1") == (200, "v1")
    assert search(client, None) == (200, "v1")
    assert search(client, "v2") == (200, "v2")
    assert search(client, "v1") == (200, "v2")
    assert source.opened == 2


def test_batches_and_images_go_with_the_client_too(client: TestClient, source: TinySource) -> None:
    publish(source, "v2", 2000)
    body = {"queries": ["裙"], "index_version": "v2"}
    assert client.post("/search/batch", json=body).json()["index_version"] == "v2"
    publish(source, "v3", 3000)
    headers = {"Content-Type": "image/png"}
    client.post("/search/image?index_version=v3", content=PNG, headers=headers)
    assert search(client, None) == (200, "v3")


def test_a_position_of_live_changes_is_not_part_of_the_version(
    client: TestClient, source: TinySource
) -> None:
    publish(source, "v2", 2000)
    assert search(client, "v2+17") == (200, "v2")
    assert source.opened == 2


@pytest.mark.parametrize("version", ["v0", "", "../etc", "v1 "])
def test_a_version_that_is_not_current_is_an_old_one(
    client: TestClient, source: TinySource, version: str
) -> None:
    body = {"query": "裙", "index_version": version}
    answer = client.post("/search", json=body).json()
    assert (answer["index_version"], answer["version_changed"]) == ("v1", True)
    assert source.opened == 1


def test_a_load_that_takes_longer_than_the_request_is_not_ready(
    client: TestClient, source: TinySource
) -> None:
    publish(source, "v2", 2000)
    source.gate = threading.Event()
    assert search(client, "v2", timeout_ms=300) == (503, "not_ready")
    assert search(client, "v1") == (200, "v1")  # a look does not wait for a load
    assert search(client, None) == (200, "v1")
    source.gate.set()
    assert search(client, "v2") == (200, "v2")
    assert source.opened == 2


def test_a_version_that_cannot_be_loaded_is_tried_once(
    client: TestClient, source: TinySource
) -> None:
    publish(source, "v2", 2000)
    source.error = CorruptBundle("vectors.npy differs")
    assert [search(client, "v2") for _ in range(3)] == [(503, "not_ready")] * 3
    assert source.opened == 2
    assert search(client, "v1") == (200, "v1")
    source.error = None
    publish(source, "v3", 3000)
    assert search(client, "v3") == (200, "v3")


@dataclass
class Unreachable(TinySource):
    """A source in a store, which may not answer."""

    reachable: bool = True

    def current_version(self) -> str:
        if not self.reachable:
            raise StoreUnreachable
        return super().current_version()


@pytest.fixture
def unreachable() -> Iterator[tuple[TestClient, Unreachable]]:
    source = Unreachable(TinyPipeline(TinyBundle("v1")))
    with connected(source, timeout_ms=20_000) as client:
        yield client, source


def test_without_a_store_only_versions_served_before_are_known_as_old(
    unreachable: tuple[TestClient, Unreachable],
) -> None:
    client, source = unreachable
    publish(source, "v2", 2000)
    assert search(client, "v2") == (200, "v2")
    source.reachable = False
    assert search(client, "v1") == (200, "v2")
    assert search(client, "v2") == (200, "v2")
    assert search(client, "v3") == (503, "not_ready")
    source.reachable = True
    assert search(client, "v3") == (200, "v2")


@dataclass
class Held(TinySource):
    """A source whose first look at CURRENT ends when a test says so."""

    looking: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    looks: int = 0

    def current_version(self) -> str:
        version = super().current_version()
        self.looks += 1
        self.looking.set()
        if self.looks == 1:
            assert self.released.wait(20)
        return version


async def test_a_look_that_began_before_the_request_does_not_count() -> None:
    source = Held(TinyPipeline(TinyBundle("v1")))
    parts = make_tiny_parts(Settings(), source)
    async with parts.running():
        versions: BundleVersions = parts.engine.versions
        await versions.loaded()
        newer, deadline = parts.engine.newer_versions, asyncio.get_running_loop().time() + 20
        early = asyncio.create_task(newer.reach("v0", deadline))
        await asyncio.to_thread(source.looking.wait, 20)
        publish(source, "v2", 2000)  # the look in progress has read v1
        late = [asyncio.create_task(newer.reach("v2", deadline)) for _ in range(50)]
        await asyncio.sleep(0)
        source.released.set()
        await asyncio.gather(early, *late)
        assert versions.version == "v2"
        assert source.looks <= 4  # two of requests, two of the reload


async def test_a_client_that_leaves_does_not_stop_the_load() -> None:
    source = TinySource(TinyPipeline(TinyBundle("v1")))
    parts = make_tiny_parts(Settings(), source)
    async with parts.running():
        await parts.engine.versions.loaded()
        publish(source, "v2", 2000)
        source.gate = threading.Event()
        newer, deadline = parts.engine.newer_versions, asyncio.get_running_loop().time() + 20
        leaver, stayer = (asyncio.create_task(newer.reach("v2", deadline)) for _ in range(2))
        while source.opened < 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)
        leaver.cancel()
        source.gate.set()
        await stayer
        assert (parts.engine.versions.version, source.opened) == ("v2", 2)


async def test_a_load_known_to_be_too_long_is_refused_at_once() -> None:
    source = TinySource(TinyPipeline(TinyBundle("v1")))
    parts = make_tiny_parts(Settings(), source)
    async with parts.running():
        await parts.engine.versions.loaded()
        publish(source, "v2", 2000)
        source.gate = threading.Event()
        parts.engine.versions.load_seconds = 60
        started = asyncio.get_running_loop().time()
        with pytest.raises(NotReady):
            await parts.engine.newer_versions.reach("v2", started + 30)
        assert asyncio.get_running_loop().time() < started + 15
        source.gate.set()


def test_an_experiment_changes_both_bundles(source: TinySource) -> None:
    other = TinySource(TinyPipeline(TinyBundle("w1"), 5000))
    with connected(source, None, other, timeout_ms=20_000, ab_share=0.5) as client:
        publish(source, "v2", 2000)
        publish(other, "w2", 6000)
        assert search(client, "v2") == (200, "v2")
        in_b = client.post("/search", json={"query": "裙"}, headers={"X-Arm": "b"})
        assert in_b.json()["index_version"] == "w2"
