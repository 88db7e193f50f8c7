"""Three replicas under load change versions one by one; no client sees versions go backwards."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from drawing import image_line
from object_store import BUCKET, ObjectStore
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.push import push

from tusou.bundle.location import S3Address
from tusou.cli.progress import NoProgress

pytestmark = pytest.mark.services

# Seconds between looks at CURRENT: often, seldom, and never.
FOLLOW = (0.2, 3, 0)
PUBLISHED = 3  # versions after the first
CLIENTS = 3


def make_version(root: Path, model: Path, number: int) -> str:
    """Index 40 images whose ids begin at 1000 times the number; return the version."""
    pool = root.parent / f"pool-{number}.tsv"
    pool.write_bytes(b"".join(image_line(1000 * number + n, n) for n in range(40)))
    spec = BuildSpec(str(pool), str(model), workers=1, device="cpu")
    return build(spec, root, NoProgress()).version


@contextmanager
def replica(bundle: str, follow_s: float, cache: Path) -> Iterator[str]:
    """Serve a bundle from a process of its own; yield its address once it is ready."""
    settings = {"FOLLOW_S": follow_s, "PORT": 0, "DEVICE": "cpu", "CACHE_DIR": cache}
    with subprocess.Popen(
        [sys.executable, "-m", "tusou", "serve", bundle],
        stderr=subprocess.PIPE,
        env=os.environ | {f"TUSOU_{name}": str(value) for name, value in settings.items()},
        text=True,
    ) as process:
        assert process.stderr
        try:
            lines = [json.loads(process.stderr.readline())]
            while {"listening", "serving"} - {line["message"] for line in lines}:
                lines.append(json.loads(process.stderr.readline()))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield next(line["url"] for line in lines if line["message"] == "listening")
        finally:
            process.kill()


def served_version(url: str) -> str:
    """Return the version that a replica serves, which it tells to a client without one."""
    answer = httpx.post(f"{url}search", json={"query": "红色碎花裙"}, timeout=20).json()
    return str(answer.get("index_version"))


class Searcher(threading.Thread):
    """A client that takes the replicas in turn, and sends the version that it saw last along."""

    def __init__(self, urls: list[str], stop: threading.Event) -> None:
        super().__init__()
        self.versions: list[str] = []  # of every answer
        self.first_ids: list[int] = []
        self.refused = 0
        self.unexpected: list[str] = []
        self._urls, self._stop_event = urls, stop

    def run(self) -> None:
        """Search until told to stop; a replica that is not ready is passed over."""
        headers = {"X-Request-Timeout-Ms": "8000"}
        with httpx.Client(timeout=20, headers=headers) as client:
            for url in cycle(self._urls):
                if self._stop_event.is_set():
                    return
                body = {"query": "红色碎花裙", "top_k": 3}
                if self.versions:
                    body["index_version"] = self.versions[-1]
                response = client.post(f"{url}search", json=body)
                answer = response.json()
                if response.status_code == 200:
                    self.versions.append(answer["index_version"])
                    self.first_ids.append(answer["item_ids"][0])
                elif answer["code"] == "not_ready":
                    self.refused += 1
                else:
                    self.unexpected.append(response.text)
                sleep(0.01)


@pytest.fixture(params=["folder", "store"])
def published(
    request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path, object_store: ObjectStore
) -> tuple[str, Callable[[int], str]]:
    """Return the location of a bundle, and what publishes a version of a number there."""
    root = tmp_path / "bundle"
    address = S3Address(BUCKET, "replicas")

    def publish(number: int) -> str:
        version = make_version(root, tiny_model, number)
        if request.param == "store":
            push(root, address)
        return version

    return str(root) if request.param == "folder" else str(address), publish


@pytest.mark.timeout(300)
def test_no_client_sees_versions_go_backwards(
    published: tuple[str, Callable[[int], str]], tmp_path: Path
) -> None:
    bundle, publish = published
    versions = [publish(1)]
    stop = threading.Event()
    with ExitStack() as stack:
        urls = [
            stack.enter_context(replica(bundle, seconds, tmp_path / f"cache-{number}"))
            for number, seconds in enumerate(FOLLOW)
        ]
        clients = [Searcher(urls[n % 3 :] + urls[: n % 3], stop) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        stack.callback(stop.set)
        for number in range(2, PUBLISHED + 2):
            versions.append(publish(number))
            deadline = monotonic() + 90
            while any(client.versions[-1:] != versions[-1:] for client in clients):
                assert monotonic() < deadline
                sleep(0.05)
            sleep(0.5)  # all replicas are asked a few times more
        while set(map(served_version, urls)) != {versions[-1]}:  # one may still load
            assert monotonic() < deadline
            sleep(0.05)
        stop.set()
        for client in clients:
            client.join()
    for client in clients:
        assert client.unexpected == []
        ranks = [versions.index(version) for version in client.versions]
        assert ranks == sorted(ranks)
        assert set(ranks) == set(range(PUBLISHED + 1))
        # Every answer has the items of its version.
        assert [first // 1000 - 1 for first in client.first_ids] == ranks
