"""Runs `tusou` commands as processes, and a service while a block runs."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from time import monotonic, sleep

import httpx

from tusou.core.errors import NotReady, OutputExists, TusouError
from tusou.core.files import replace_folder

_START_SECONDS = 180.0  # a process that ends before is reported at once
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MARKER = ".tusou-demo"  # a folder that holds this file may be replaced

# Receives each command line before it runs, and its output afterwards.
Echo = Callable[[str], None]


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
        self.seconds: dict[str, float] = {}

    def command(self, verb: str, *arguments: str) -> list[str]:
        """Echo a command as it would be typed, and return the arguments that run it."""
        self._echo(" ".join(["$ tusou", verb, *map(_quote, arguments)]))
        return [sys.executable, "-m", "tusou", verb, *arguments]

    def run(self, verb: str, *arguments: str, quiet: bool = False) -> str:
        """Run a command to its end and return its output; CommandFailed when it fails.

        `quiet` echoes the command line only.
        """
        started = monotonic()
        command = self.command(verb, *arguments)
        done = subprocess.run(  # noqa: S603 - our own verbs
            command, check=False, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.seconds[verb] = self.seconds.get(verb, 0.0) + monotonic() - started
        if done.returncode:
            raise CommandFailed(
                f"`tusou {verb}` ended with {done.returncode}; see its message above."
            )
        if not quiet:
            self._echo(done.stdout.rstrip())
        return done.stdout


def _quote(word: str) -> str:
    """Quote a word that a shell would split or expand; `data#test` and Chinese stay readable."""
    return quote(word) if re.search(r"""[\s'"\\$`*?;&|<>()!~]""", word) else word


@contextmanager
def serving(bundle: Path, runner: CommandRunner) -> Iterator[str]:
    """Serve a bundle on a free port until the block ends; yield the service's URL."""
    port = _free_port()
    log = (bundle.parent / "service.log").open("w", encoding="utf-8")
    started = monotonic()
    command = runner.command("serve", str(bundle), "--port", str(port))
    with log, subprocess.Popen(command, stdout=log, stderr=log) as service:  # noqa: S603
        try:
            _wait_until_ready(service, f"http://127.0.0.1:{port}", log.name)
            runner.seconds["serve"] = runner.seconds.get("serve", 0.0) + monotonic() - started
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
            raise CommandFailed(f"`tusou serve` ended with {service.returncode}; see {log}.")
        try:
            if httpx.get(f"{url}/readyz").is_success:
                return
        except httpx.TransportError:
            pass  # not listening yet
        sleep(_POLL_SECONDS)
    raise NotReady(f"`tusou serve` was not ready within {_START_SECONDS:.0f} s; see {log}.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
