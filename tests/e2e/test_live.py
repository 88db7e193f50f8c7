"""Items that change while a real service runs: found at once, kept over kills and compactions."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusou_indexer.build import BuildSpec, build

from tests.browser.serving import serving
from tests.drawing import image_bytes
from tusou.cli.progress import NoProgress

pytestmark = pytest.mark.services

SLOW = {"X-Request-Timeout-Ms": "30000"}


@pytest.fixture(scope="module")
def original(tiny_model: Path, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index 300 images with prices, half of them in each of two categories."""
    folder = tmp_path_factory.mktemp("live")
    attributes = folder / "attributes.jsonl"
    rows = (
        {"id": 1000 + n, "category": ("裙", "鞋")[n % 2], "price": n, "product_id": f"P{n // 3}"}
        for n in range(300)
    )
    attributes.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    spec = BuildSpec(str(pool), str(tiny_model), workers=1, device="cpu", attributes=attributes)
    build(spec, folder / "bundle", NoProgress())
    return folder / "bundle"


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


@contextmanager
def service(bundle: Path, **settings: str) -> Iterator[httpx.Client]:
    log = bundle.parent / f"log-{time.monotonic_ns()}"
    with (
        serving(bundle, log, TUSOU_LIVE="on", **settings) as site,
        httpx.Client(base_url=site.url, timeout=60, headers=SLOW) as client,
    ):
        yield client


def image(seed: int) -> str:
    return base64.b64encode(image_bytes(seed)).decode()


def search(client: httpx.Client, **fields: object) -> dict[str, Any]:
    response = client.post("/search", json={"top_k": 300, **fields})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def state(client: httpx.Client) -> dict[str, Any]:
    """Return all that a client can see of the items, except versions."""
    listed = client.get("/items", params={"limit": 1000}).json()
    ids = [item["item_id"] for item in listed["items"]]
    found = search(client, query="红色碎花裙", top_k=1000, fields=["price", "title"])
    facets = search(client, query="裙", top_k=1, facets=["category"], distinct="product_id")
    return {
        "items": sorted(listed["items"], key=lambda item: item["item_id"]),
        "etags": {item: client.get(f"/items/{item}").headers["etag"] for item in sorted(ids)[-9:]},
        "images": {item: client.get(f"/items/{item}/image").content for item in sorted(ids)[-9:]},
        "found": {
            item: pytest.approx(score, abs=1e-6)
            for item, score in zip(found["item_ids"], found["scores"], strict=True)
        },
        "attributes": dict(zip(found["item_ids"], found["attributes"], strict=True)),
        "facets": facets["facets"],
        "matching_items": facets["matching_items"],
    }


def change_much(client: httpx.Client) -> None:
    """Add, replace, patch and remove items, and check what each call answers."""
    fields = {"image": image(9000), "attributes": {"title": "新品", "price": 5, "category": "裙"}}
    added = client.put("/items/5000", json=fields)
    assert added.json()["status"] == "created"
    assert added.json()["index_version"].endswith("+1")
    assert search(client, item_id=5000, top_k=1)["item_ids"] != [5000]  # not itself
    assert client.get("/items/5000").json()["attributes"]["title"] == "新品"
    etag = added.headers["etag"]
    assert client.get("/items/5000").headers["etag"] == etag
    assert client.put("/items/5000", json=fields).json()["etag"] == etag.strip('"')
    replaced = client.put("/items/1007", json={"image": image(9001), "attributes": {"price": 7}})
    assert replaced.json()["status"] == "replaced"
    patched = client.patch("/items/1008", json={"attributes": {"price": 1.5, "category": None}})
    assert patched.json()["status"] == "patched"
    assert client.get("/items/1008").json()["attributes"] == {"price": 1.5, "product_id": "P2"}
    assert client.delete("/items/1009").json()["status"] == "deleted"
    assert client.delete("/items/1009").json()["status"] == "absent"
    operations = [
        {"op": "upsert", "item_id": 5001, "image": image(9002), "attributes": {"price": 2000}},
        {"op": "upsert", "item_id": 5002, "image": base64.b64encode(b"GIF89a no").decode()},
        {"op": "upsert", "item_id": "x1", "image": image(9003)},
        {"op": "patch", "item_id": 777, "attributes": {"price": 1}},
        {"op": "patch", "item_id": 5001, "attributes": {"price": "dear"}},
        {"op": "delete", "item_id": 1010},
    ]
    results = client.post("/items/batch", json={"operations": operations}).json()["results"]
    assert [each.get("status") or each["problem"]["code"] for each in results] == [
        *("created", "bad_image", "invalid_request", "unknown_item", "invalid_request", "deleted")
    ]
    assert "“price” is a text, not a number" in json.dumps(results[4], ensure_ascii=False)
    removed = client.post("/items/delete", json={"filter": {"price": {"$gte": 290, "$lt": 1000}}})
    assert removed.json()["deleted"] == 10
    for everything in ({}, {"$or": [{"price": 1}, {}]}, {"$and": [{}]}):
        refused = client.post("/items/delete", json={"filter": everything})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    gone = {1009, 1010, *range(1290, 1300)}
    for item_id in gone:
        assert client.get(f"/items/{item_id}").status_code == 404
    found = search(client, query="红色碎花裙", top_k=1000)["item_ids"]
    assert set(found) == {*range(1000, 1300), 5000, 5001} - gone
    assert len(found) == len(set(found)) == 290


def test_changes_are_found_at_once_and_survive_kills_and_compactions(bundle: Path) -> None:
    with service(bundle) as client:
        change_much(client)
        before = state(client)
        version = search(client, query="裙", top_k=1)["index_version"]
    # The block has ended the service by SIGKILL.
    with service(bundle) as client:
        assert state(client) == before
        assert search(client, query="裙", top_k=1)["index_version"] == version
        command = [sys.executable, "-m", "tusou", "compact", str(bundle), "--json"]
        compacted = subprocess.run(command, capture_output=True, text=True, check=True)
        report = json.loads(compacted.stdout)
        assert report["items"] == 290
        client.patch("/items/5000", json={"attributes": {"price": 6}})  # beside the new version
        assert client.post("/admin/reload").json()["status"] == "swapped"
        answer = search(client, query="裙", top_k=1)
        assert answer["index_version"].partition("+")[0] == report["version"]
        client.patch("/items/5000", json={"attributes": {"price": 5}})
        assert state(client) == before
    with service(bundle) as client:
        assert state(client) == before


def test_a_precondition_keeps_what_another_client_wrote(bundle: Path) -> None:
    with service(bundle) as client:
        etag = client.get("/items/1000").headers["etag"]
        first = client.patch(
            "/items/1000", json={"attributes": {"price": 3}}, headers={"If-Match": etag}
        )
        assert first.status_code == 200
        second = client.patch(
            "/items/1000", json={"attributes": {"price": 4}}, headers={"If-Match": etag}
        )
        assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
        assert client.get("/items/1000").json()["attributes"]["price"] == 3
        current = client.get("/items/1000").headers["etag"]
        several = f"{etag}, {current}"
        third = client.patch(
            "/items/1000", json={"attributes": {"price": 5}}, headers={"If-Match": several}
        )
        assert third.status_code == 200
        lines = [("If-Match", etag), ("If-Match", third.headers["etag"])]
        fourth = client.patch("/items/1000", json={"attributes": {"price": 6}}, headers=lines)
        assert fourth.status_code == 200
        stale = client.delete("/items/1000", headers={"If-Match": several})
        assert stale.status_code == 412
        empty = client.delete("/items/1000", headers={"If-Match": ""})
        assert empty.status_code == 412
        absent = client.put("/items/6000", json={"image": image(1)}, headers={"If-Match": "*"})
        assert absent.status_code == 412


def test_writers_at_the_same_time_lose_nothing_and_a_batch_sees_one_moment(bundle: Path) -> None:
    vector = base64.b64encode(b"\0\0\x80?" + bytes(63 * 4)).decode()

    def write(client: httpx.Client, first: int) -> None:
        for n in range(25):
            fields = {"image": image(n), "vector": vector, "attributes": {"price": first + n}}
            assert client.put(f"/items/{first + n}", json=fields).status_code == 200

    with service(bundle) as client:
        threads = [threading.Thread(target=write, args=(client, 10_000 * n)) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            body = {"queries": ["裙"] * 100, "top_k": 300}
            results = client.post("/search/batch", json=body).json()["results"]
            assert len({tuple(result["item_ids"]) for result in results}) == 1
        for thread in threads:
            thread.join()
        listed = client.get("/items", params={"filter": '{"price": {"$gte": 10000}}'}).json()
        expected = {10_000 * n + m for n in range(1, 5) for m in range(25)}
        assert {item["item_id"] for item in listed["items"]} == expected
        version = search(client, query="裙", top_k=1)["index_version"]
        assert version.endswith("+100")


def test_a_long_log_is_compacted_by_itself(bundle: Path) -> None:
    with service(bundle, TUSOU_COMPACT_MB="1") as client:
        first = client.get("/readyz").json()["index_version"].partition("+")[0]
        padded = base64.b64encode(image_bytes(4) + bytes(400_000)).decode()
        vector = base64.b64encode(b"\0\0\x80?" + bytes(63 * 4)).decode()
        for n in range(4):
            fields = {"image": padded, "vector": vector, "attributes": {"price": n}}
            assert client.put(f"/items/{5000 + n}", json=fields).status_code == 200
        until = time.monotonic() + 120
        while client.get("/readyz").json()["index_version"].partition("+")[0] == first:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert client.get("/items/5003/image").content.endswith(bytes(1000))
        assert search(client, item_id=5000, top_k=3)["item_ids"] == [5001, 5002, 5003]
        assert client.delete("/items/5003").json()["status"] == "deleted"
        assert search(client, item_id=5000, top_k=2)["item_ids"] == [5001, 5002]


def test_a_second_service_cannot_change_the_same_bundle(bundle: Path) -> None:
    with service(bundle):
        second = subprocess.run(
            [sys.executable, "-m", "tusou", "serve", str(bundle), "--port", "0"],
            env={**os.environ, "TUSOU_LIVE": "on"},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert second.returncode != 0
        assert "another process" in second.stderr
