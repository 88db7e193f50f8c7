"""The service on a bundle in a store: changes of version, and a store that does not answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from object_store import BUCKET, CREDENTIALS, running_store
from s3fs import S3FileSystem
from tusou_indexer.push import push
from tusou_service.factory import make_parts
from tusou_service.http.app import create_app
from tusou_service.settings import Settings

from tests.tusou_service.test_server import run_tusou
from tusou.bundle.bundle import current_version
from tusou.bundle.location import S3Address

pytestmark = pytest.mark.services

ADDRESS = S3Address(BUCKET, "bundles/连衣裙")


@pytest.fixture(autouse=True)
def _new_connections() -> Iterator[None]:
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


def searched_version(client: TestClient) -> str:
    headers = {"X-Request-Timeout-Ms": "20000"}
    answer = client.post("/search", json={"query": "红色碎花裙"}, headers=headers)
    return str(answer.json()["index_version"])


@pytest.mark.timeout(300)  # it starts two stores
def test_a_service_outlives_its_store(
    three_bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = map(current_version, three_bundles)
    with running_store() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        push(three_bundles[0], ADDRESS)
        settings = Settings(bundle=str(ADDRESS), cache_dir=tmp_path, device="cpu")
        parts = make_parts(settings, None)
        with TestClient(create_app(parts.running, settings)) as client:
            assert client.portal
            client.portal.call(parts.engine.versions.loaded)
            assert searched_version(client) == first
            push(three_bundles[1], ADDRESS)
            assert client.post("/admin/reload").json()["index_version"] == second
            store.process.kill()
            store.process.wait()
            refused = client.post("/admin/reload")
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unreachable")
            assert "retry-after" in refused.headers
            assert searched_version(client) == second
            assert client.get("/readyz").status_code == 200
            with running_store(urlsplit(store.endpoint).port or 0):
                push(three_bundles[2], ADDRESS)
                assert client.post("/admin/reload").json()["index_version"] == third
                assert searched_version(client) == third


def test_a_service_does_not_start_without_its_store(tmp_path: Path) -> None:
    environment = {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # discard: nothing listens
        "TUSOU_CACHE_DIR": str(tmp_path),
        "TUSOU_PORT": "0",
    }
    completed = run_tusou("serve", str(ADDRESS), **environment)
    assert completed.returncode == 1
    *_, error, stopped = map(json.loads, completed.stderr.splitlines())
    assert (error["code"], error["exit_code"]) == ("store_unreachable", 1)
    assert str(ADDRESS) in error["message"]
    assert stopped["message"] == "stopped"


def test_another_kind_of_address_is_a_usage_error() -> None:
    completed = run_tusou("serve", TUSOU_BUNDLE="gs://shop/bundle")
    assert completed.returncode == 2
    assert completed.stderr.startswith("TUSOU_BUNDLE: Value error, a bundle is a folder or an")
