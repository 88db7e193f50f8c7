"""A service whose index is on Milvus, while Milvus is killed, stopped and started again."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from tusou_indexer.build import BuildSpec, build

from tests.milvus.lite_server import LiteServer
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.indexes.milvus_collection import Collection
from tusou.indexes.milvus_server import MilvusServer

ITEMS = 40
QUERIES = ("第7件", "红色连衣裙", "鞋")
FILTER = {"price": {"$lt": 10}}


def write_pool(folder: Path) -> tuple[Path, Path]:
    source, attributes = folder / "texts.jsonl", folder / "attributes.jsonl"
    ids = [f"{n}.jpg#zhc#0" for n in range(ITEMS)]
    for path, rows in (
        (source, [{"id": each, "text": f"第{n}件红色连衣裙"} for n, each in enumerate(ids)]),
        (attributes, [{"item_id": each, "price": n} for n, each in enumerate(ids)]),
    ):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return source, attributes


@pytest.fixture
def bundle(own_server: LiteServer, tmp_path: Path, tiny_model: Path) -> Path:
    source, attributes = write_pool(tmp_path)
    spec = BuildSpec(
        str(source),
        str(tiny_model),
        "milvus",
        "cpu",
        attributes=attributes,
        milvus_uri=own_server.uri,
        collection="service",
    )
    build(spec, tmp_path / "bundle", NoProgress())
    return tmp_path / "bundle"


@contextmanager
def serving(
    bundle: Path, log: Path, milvus_ms: int = 10_000, *, live: bool = False
) -> Iterator[httpx.Client]:
    """Serve a bundle on a free port until the block ends; it need not be ready."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TUSOU_")}
    command = [sys.executable, "-m", "tusou", "serve", str(bundle), "--port", "0"]
    settings = {"TUSOU_MILVUS_TIMEOUT_MS": str(milvus_ms), "TUSOU_TIMEOUT_MS": "20000"}
    settings["TUSOU_LIVE"] = "on" if live else "off"
    with (
        log.open("w") as out,
        subprocess.Popen(command, stderr=out, env=inherited | settings) as process,
    ):
        try:
            wait_for(lambda: listening_port(log) or process.poll() is not None)
            port = listening_port(log)
            assert port, log.read_text()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                yield client
        finally:
            process.kill()


def listening_port(log: Path) -> int | None:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    ports = [int(line["port"]) for line in lines if line["message"] == "listening"]
    return ports[0] if ports else None


def wait_for(done: Callable[[], object]) -> None:
    until = monotonic() + 120
    while not done():
        assert monotonic() < until, "it did not happen"
        sleep(0.05)


def is_ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def answers(client: httpx.Client) -> list[tuple[object, object]]:
    """Return the answers to some searches, with and without a filter."""
    results = []
    for query in QUERIES:
        for chosen in ({}, {"filter": FILTER}):
            response = client.post("/search", json={"query": query, "top_k": 20, **chosen})
            assert response.status_code == 200, response.text
            results.append((response.json()["item_ids"], response.json()["scores"]))
    return results


def assert_unavailable(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (503, "index_unavailable")
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.timeout(240)
def test_an_outage_is_answered_with_503_and_loses_nothing(
    bundle: Path, own_server: LiteServer, tmp_path: Path
) -> None:
    with serving(bundle, tmp_path / "log") as client:
        wait_for(lambda: is_ready(client))
        before = answers(client)
        assert all(len(ids) == 10 for ids, _ in before[1::2])
        own_server.kill()
        for _ in range(7):  # beyond the failures that open the breaker
            assert_unavailable(client.post("/search", json={"query": "鞋"}))
        assert_unavailable(client.get("/readyz"))
        assert client.get("/healthz").status_code == 200
        assert client.get("/items/7.jpg%23zhc%230").json()["text"] == "第7件红色连衣裙"
        own_server.start()
        wait_for(lambda: is_ready(client))
        assert answers(client) == before


@pytest.mark.timeout(240)
def test_a_server_that_hangs_is_an_outage_too(
    bundle: Path, own_server: LiteServer, tmp_path: Path
) -> None:
    with serving(bundle, tmp_path / "log", 1_000) as client:
        wait_for(lambda: is_ready(client))
        before = answers(client)
        own_server.freeze()
        try:
            for _ in range(7):
                assert_unavailable(client.post("/search", json={"query": "鞋"}))
            assert_unavailable(client.get("/readyz"))
        finally:
            own_server.thaw()
        wait_for(lambda: is_ready(client))
        assert answers(client) == before


@pytest.mark.timeout(240)
def test_a_service_that_starts_during_an_outage_waits_for_its_end(
    bundle: Path, own_server: LiteServer, tmp_path: Path
) -> None:
    own_server.kill()
    with serving(bundle, tmp_path / "log") as client:
        wait_for(lambda: "waiting for the index" in (tmp_path / "log").read_text())
        assert client.get("/readyz").json()["code"] == "not_ready"
        own_server.start()
        wait_for(lambda: is_ready(client))
        assert len(answers(client)) == 2 * len(QUERIES)


def unwritten(client: httpx.Client) -> int:
    """Return how many changes the collection does not have yet."""
    (line,) = (
        line
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("tusou_collection_behind ")
    )
    return int(float(line.split()[1]))


def items_of_collection(bundle: Path, server: LiteServer) -> set[str]:
    record = Bundle.open(bundle).manifest.index.collection
    assert record
    collection = Collection(MilvusServer(server.uri, 5.0), record.alias)
    rows = collection.query("current == 1", ["item_id"], 1_000)
    assert len({row["item_id"] for row in rows}) == len(rows)
    return {row["item_id"] for row in rows}


@pytest.mark.timeout(240)
def test_changes_during_an_outage_are_kept_and_reach_the_collection(
    bundle: Path, own_server: LiteServer, tmp_path: Path
) -> None:
    ids = {f"{n}.jpg#zhc#0" for n in range(ITEMS)}
    with serving(bundle, tmp_path / "log", live=True) as client:
        wait_for(lambda: is_ready(client))
        assert client.put("/items/a", json={"text": "红色皮鞋"}).status_code == 200
        wait_for(lambda: not unwritten(client))
        assert items_of_collection(bundle, own_server) == ids | {"a"}
        own_server.kill()
        assert client.put("/items/b", json={"text": "红色皮鞋"}).status_code == 200
        assert client.delete("/items/a").json()["status"] == "deleted"
        assert client.delete("/items/7.jpg%23zhc%230").json()["status"] == "deleted"
        assert_unavailable(client.post("/search", json={"query": "鞋"}))
        assert unwritten(client) == 3
    own_server.start()  # the service was killed with changes that Milvus does not have
    with serving(bundle, tmp_path / "second-log", live=True) as client:
        wait_for(lambda: is_ready(client))
        found = client.post("/search", json={"query": "鞋", "top_k": 1000}).json()["item_ids"]
        expected = ids - {"7.jpg#zhc#0"} | {"b"}
        assert (set(found), len(found)) == (expected, len(expected))
        wait_for(lambda: not unwritten(client))
        assert items_of_collection(bundle, own_server) == expected
