"""Service processes and demo bundles for the benchmarks."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

import httpx

_READY_WITHIN = 120.0
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is ready."""

    url: str
    process: "subprocess.Popen[bytes]"
    ready_seconds: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def resident_mb(self) -> float:
        """Return the resident memory of the process, in MB."""
        output = subprocess.check_output(["ps", "-o", "rss=", "-p", str(self.pid)], text=True)
        return int(output) / 1024


@contextmanager
def service(bundle: Path, **environment: str) -> Iterator[Service]:
    """Serve the bundle on a free port until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "tusou", "serve", str(bundle), "--port", str(port)]
    environment = {"TUSOU_LOG_LEVEL": "warning", "TUSOU_DRAIN_S": "0", **environment}
    environment = {"TUSOU_CACHE_QUERIES": "0", **environment}
    with started(command, port, environment) as ready:
        yield ready


@contextmanager
def demo_service(items: int, **environment: str) -> Iterator[Service]:
    """Serve a new bundle of drawn images until the block ends."""
    with (
        tempfile.TemporaryDirectory() as folder,
        service(demo_bundle(Path(folder), items), **environment) as running,
    ):
        yield running


@contextmanager
def started(command: list[str], port: int, environment: dict[str, str]) -> Iterator[Service]:
    """Run a service until the block ends; the block starts when /readyz answers 200."""
    started_at = perf_counter()
    # Do not print a line for each request.
    log = subprocess.DEVNULL if environment.get("TUSOU_LOG_LEVEL") == "info" else None
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=log) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process, started_at + _READY_WITHIN)
            yield Service(url, process, perf_counter() - started_at)
        finally:
            process.terminate()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait(url: str, process: "subprocess.Popen[bytes]", until: float) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        while perf_counter() < until:
            if process.poll() is not None:
                raise SystemExit(f"the service ended with {process.returncode}")
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            sleep(_POLL)
    raise SystemExit(f"the service was not ready within {_READY_WITHIN:.0f} s")


def demo_bundle(folder: Path, items: int, seeds: tuple[int, ...] = (1,)) -> Path:
    """Draw a dataset for each seed and index each as a version of one bundle."""
    bundle = folder / "bundle"
    for seed in seeds:
        data = folder / f"data-{seed}"
        size = ["--items", str(items), "--queries", "10", "--seed", str(seed), "--splits", "test"]
        _tusou("toy", str(data), *size)
        index_pool(data / "MR_test_imgs.tsv", bundle)
    return bundle


def index_pool(pool: Path, bundle: Path) -> None:
    """Index an image file with the demo model."""
    _tusou("index", str(pool), "--out", str(bundle), "--model", "demo")


def _tusou(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "tusou", *arguments], check=True, stdout=subprocess.DEVNULL
    )
