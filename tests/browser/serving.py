"""The real service as a process, and direct calls of its API."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from tusou_indexer.build import BuildSpec, build

from tusou.cli.progress import NoProgress

_START_SECONDS = 60


@dataclass
class Site:
    """A service under test, and direct calls of its API."""

    url: str
    bundle: Path
    pid: int

    def call(self, path: str, fields: dict[str, object] | None = None) -> dict[str, object]:
        body = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(
            self.url + path, data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            body: dict[str, object] = json.load(response)
        return body

    def ids(self, query: str, top_k: int = 24) -> list[str]:
        ids = self.call("/search", {"query": query, "top_k": top_k})["item_ids"]
        assert isinstance(ids, list)
        return [str(item_id) for item_id in ids]


@contextmanager
def serving(
    bundle: Path,
    log: Path,
    *,
    port: str = "0",
    start_seconds: float = _START_SECONDS,
    **settings: str,
) -> Iterator[Site]:
    """Serve a bundle until the block ends, by default on a free port."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TUSOU_")}
    command = [sys.executable, "-m", "tusou", "serve", str(bundle), "--port", port]
    with (
        log.open("w") as out,
        subprocess.Popen(command, stderr=out, env={**inherited, **settings}) as process,
    ):
        try:
            site = Site(f"http://127.0.0.1:{_port(process, log)}", bundle, process.pid)
            _wait(process, lambda: _is_ready(site), start_seconds)
            yield site
        finally:
            process.kill()  # no request is in flight


def _wait(
    process: subprocess.Popen[bytes],
    done: Callable[[], object],
    seconds: float = _START_SECONDS,
) -> None:
    until = monotonic() + seconds
    while not done():
        assert process.poll() is None, "the service ended"
        assert monotonic() < until, "the service did not start"
        sleep(0.05)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    def lines() -> list[dict[str, object]]:
        text = log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in text if line.startswith("{") and line.endswith("\n")]

    def ports() -> list[object]:
        return [line["port"] for line in lines() if line["message"] == "listening"]

    _wait(process, ports)
    [port] = ports()
    assert isinstance(port, int)
    return port


def _is_ready(site: Site) -> bool:
    try:
        return bool(site.call("/readyz"))
    except OSError:
        return False


def index(source: Path, out: Path, *, force: bool = False) -> None:
    """Index a source with the demo model."""
    build(BuildSpec(str(source), "demo", workers=1), out, NoProgress(), force=force)


def run_tusou(*arguments: str) -> None:
    command = [sys.executable, "-m", "tusou", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
