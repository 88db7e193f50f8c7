"""Runs `tusou` commands as processes, and a service while a block runs."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from time import monotonic, sleep
from typing import Any

import httpx

from tusou.core.errors import NotReady, OutputExists, TusouError
from tusou.core.files import replace_folder

_START_SECONDS = 180.0  # a process that ends before is reported at once
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MARKER = ".tusou-demo"  # a folder that holds this file may be replaced

# Receives each command line before it runs, and its output afterwards.
Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ToySize:
    """The amount of data to draw, and the seed."""

    items: int
    queries: int
    seed: int

    @property
    def options(self) -> list[str]:
        """The options of `tusou toy`."""
        sizes = {"--items": self.items, "--queries": self.queries, "--seed": self.seed}
        return [word for option, number in sizes.items() for word in (option, str(number))]


class CommandFailed(TusouError):
    """A command ended with an error; its own message is on stderr above."""

    code = "command_failed"


def claim_folder(folder: Path, *, force: bool) -> None:
    """Make an empty working folder; OutputExists if it holds anything but an earlier run."""
    foreign = folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists()
    if foreign and not force:
        raise OutputExists(
            f"{folder} holds other files than those of an earlier run; give another --dir, or "
            "--force to replace them."
        )
    replace_folder(folder)
    (folder / _MARKER).touch()


class CommandRunner:
    """Runs `tusou` verbs as processes; `seconds` holds the time that each verb took."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self.seconds = defaultdict[str, float](float)

    def note(self, text: str) -> None:
        """Echo a remark as a shell's comment."""
        self._echo(f"# {text}")

    def command(self, verb: str, *arguments: str) -> list[str]:
        """Echo a command as it would be typed, and return the arguments that run it."""
        self._echo(" ".join(["$ tusou", verb, *map(_quote, arguments)]))
        return [sys.executable, "-m", "tusou", *verb.split(), *arguments]

    def run(self, verb: str, *arguments: str, quiet: bool = False) -> str:
        """Run a command and return its output, echoed unless `quiet`; CommandFailed."""
        started = monotonic()
        command = self.command(verb, *arguments)
        done = subprocess.run(  # noqa: S603 - our own verbs
            command, check=False, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.seconds[verb] += monotonic() - started
        if done.returncode:
            raise CommandFailed(
                f"`tusou {verb}` ended with {done.returncode}; see its message above."
            )
        if not quiet:
            self._echo(done.stdout.rstrip())
        return done.stdout

    def run_evaluate(self, source: Path, *options: str) -> dict[str, Any]:
        """Run `tusou evaluate` and return its JSON report."""
        report: dict[str, Any] = json.loads(
            self.run("evaluate", str(source), *options, "--json", quiet=True)
        )
        return report


def _quote(word: str) -> str:
    """Quote a word that a shell would split or expand; `data#test` and Chinese stay readable."""
    return quote(word) if re.search(r"""[\s'"\\$`*?;&|<>()!~]""", word) else word


@contextmanager
def serving(bundle: Path, runner: CommandRunner) -> Iterator[str]:
    """Serve a bundle on a free port until the block ends; yield the service's URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = (bundle.parent / "service.log").open("w", encoding="utf-8")
    started = monotonic()
    command = runner.command("serve", str(bundle), "--port", str(port))
    with log, subprocess.Popen(command, stdout=log, stderr=log) as service:  # noqa: S603
        try:
            _wait_until_ready(service, url, log.name)
            runner.seconds["serve"] += monotonic() - started
            yield url
        finally:
            service.send_signal(signal.SIGTERM)
            try:
                service.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.kill()


def _wait_until_ready(service: "subprocess.Popen[bytes]", url: str, log: str) -> None:
    deadline = monotonic() + _START_SECONDS
    # The service is on this machine, so the proxies of the environment do not apply.
    with httpx.Client(trust_env=False, verify=False) as http:  # noqa: S501 - plain HTTP
        while monotonic() < deadline:
            if service.poll() is not None:
                raise CommandFailed(f"`tusou serve` ended with {service.returncode}; see {log}.")
            try:
                if http.get(f"{url}/readyz").is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            sleep(_POLL_SECONDS)
    raise NotReady(f"`tusou serve` was not ready within {_START_SECONDS:.0f} s; see {log}.")
