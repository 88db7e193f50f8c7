"""The main job on drawn data, through the real commands as processes and through HTTP."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx

from tusou.errors import NotReady, OutputExists, TusouError
from tusou.files import replace_folder

SHOWN_QUERY = "纯棉碎花吊带裙"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MARK = ".tusou-demo"  # a folder with this in it is ours to replace

# Hears each command before it runs, as one would type it, and what it printed.
Say = Callable[[str], None]


class CommandFailed(TusouError):
    """A command of the demo went wrong; its own message is on stderr above."""

    code = "command_failed"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo did, in seconds, and how well the demo model found."""

    items: int
    queries: int
    metrics: dict[str, float]  # percent
    seconds: dict[str, float]  # by step


@dataclass(frozen=True, slots=True)
class DemoSpec:
    """How large a demo."""

    items: int = 3000
    queries: int = 300
    seed: int = 2024


def run_demo(folder: Path, spec: DemoSpec, say: Say, *, force: bool) -> DemoReport:
    """Draw a pool, index it, verify it, serve it, ask it, replay its queries and score them.

    Writes `data/`, `bundle/` and `pred.jsonl` into the folder. Raises OutputExists for a folder
    of something else, CommandFailed when a step fails.
    """
    _claim(folder, force=force)
    data, bundle, predictions = folder / "data", folder / "bundle", folder / "pred.jsonl"
    images, asked = data / "MR_test_imgs.tsv", data / "MR_test_queries.jsonl"
    steps = _Steps(say)
    size = ["--items", str(spec.items), "--queries", str(spec.queries), "--seed", str(spec.seed)]
    steps.run("toy", str(data), *size, "--splits", "test")
    steps.run("index", str(images), "--out", str(bundle), "--model", "demo")
    steps.run("verify", str(bundle))
    with _serving(bundle, steps) as url:
        steps.run("query", SHOWN_QUERY, "--url", url, "--top-k", "5")
        steps.run("replay", str(asked), "--out", str(predictions), "--url", url)
    judged = ["--answers", str(asked), "--pool", str(images), "--json"]
    result = json.loads(steps.run("evaluate", str(predictions), *judged, quiet=True))
    return DemoReport(spec.items, result["queries"], result["percent"], steps.seconds)


def _claim(folder: Path, *, force: bool) -> None:
    strange = folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists()
    if strange and not force:
        raise OutputExists(f"{folder} holds something else than a demo; give another --dir")
    replace_folder(folder)
    (folder / _MARK).touch()


class _Steps:
    """Runs verbs as processes and remembers what each one took."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}

    def command(self, verb: str, *arguments: str) -> list[str]:
        self._say(" ".join(["$ tusou", verb, *arguments]))
        return [sys.executable, "-m", "tusou", verb, *arguments]

    def run(self, verb: str, *arguments: str, quiet: bool = False) -> str:
        started = monotonic()
        command = self.command(verb, *arguments)
        done = subprocess.run(  # noqa: S603 - our own verbs
            command, check=False, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.seconds[verb] = monotonic() - started
        if done.returncode:
            raise CommandFailed(
                f"`tusou {verb}` ended with {done.returncode}; see its message above"
            )
        if not quiet:
            self._say(done.stdout.rstrip())
        return done.stdout


@contextmanager
def _serving(bundle: Path, steps: _Steps) -> Iterator[str]:
    """Serve a bundle on a free port until the block ends."""
    port = _free_port()
    log = (bundle.parent / "service.log").open("w", encoding="utf-8")
    started = monotonic()
    command = steps.command("serve", str(bundle), "--port", str(port))
    with log, subprocess.Popen(command, stdout=log, stderr=log) as service:  # noqa: S603
        try:
            _wait_until_ready(service, f"http://127.0.0.1:{port}", log.name)
            steps.seconds["serve"] = monotonic() - started
            yield f"http://127.0.0.1:{port}"
        finally:
            service.send_signal(signal.SIGTERM)
            try:
                service.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()


def _wait_until_ready(service: "subprocess.Popen[bytes]", url: str, log: str) -> None:
    deadline = monotonic() + _START_SECONDS
    while monotonic() < deadline:
        if service.poll() is not None:
            raise CommandFailed(f"`tusou serve` ended with {service.returncode}; see {log}")
        try:
            if httpx.get(f"{url}/readyz").is_success:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        sleep(_POLL_SECONDS)
    raise NotReady(f"`tusou serve` was not ready within {_START_SECONDS:.0f} s; see {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
