"""Real commands as processes, step by step, and a service for as long as a block lasts."""

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

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MARK = ".tusou-demo"  # a folder with this in it is ours to replace

# Hears each command before it runs, as one would type it, and what it printed.
Say = Callable[[str], None]


class CommandFailed(TusouError):
    """A command of the demo went wrong; its own message is on stderr above."""

    code = "command_failed"


def claim_folder(folder: Path, *, force: bool) -> None:
    """Make an empty folder to work in; OutputExists for one that holds something else."""
    strange = folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists()
    if strange and not force:
        raise OutputExists(f"{folder} holds something else than a demo; give another --dir")
    replace_folder(folder)
    (folder / _MARK).touch()


class CommandRunner:
    """Runs verbs as processes and remembers what each one took."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}

    def command(self, verb: str, *arguments: str) -> list[str]:
        """Say a command, and give what runs it."""
        self._say(" ".join(["$ tusou", verb, *map(_typed, arguments)]))
        return [sys.executable, "-m", "tusou", verb, *arguments]

    def run(self, verb: str, *arguments: str, quiet: bool = False) -> str:
        """Run a command to its end and give what it printed; CommandFailed when it fails."""
        started = monotonic()
        command = self.command(verb, *arguments)
        done = subprocess.run(  # noqa: S603 - our own verbs
            command, check=False, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.seconds[verb] = self.seconds.get(verb, 0.0) + monotonic() - started
        if done.returncode:
            raise CommandFailed(
                f"`tusou {verb}` ended with {done.returncode}; see its message above"
            )
        if not quiet:
            self._say(done.stdout.rstrip())
        return done.stdout


def _typed(word: str) -> str:
    """Quote a word where a shell would take it apart; a # within and Chinese stay as they are."""
    return quote(word) if re.search(r"""[\s'"\\$`*?;&|<>()!~]""", word) else word


@contextmanager
def serving(bundle: Path, steps: CommandRunner) -> Iterator[str]:
    """Serve a bundle on a free port until the block ends."""
    port = _free_port()
    log = (bundle.parent / "service.log").open("w", encoding="utf-8")
    started = monotonic()
    command = steps.command("serve", str(bundle), "--port", str(port))
    with log, subprocess.Popen(command, stdout=log, stderr=log) as service:  # noqa: S603
        try:
            _wait_until_ready(service, f"http://127.0.0.1:{port}", log.name)
            steps.seconds["serve"] = steps.seconds.get("serve", 0.0) + monotonic() - started
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
