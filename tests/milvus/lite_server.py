"""A Milvus server of milvus-lite in a process of its own, which tests kill and start again."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

from tusou.core.errors import IndexUnavailable
from tusou.indexes.milvus_server import MilvusServer

_START_SECONDS = 60


class LiteServer:
    """The server of one data folder; its port stays the same."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, _free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(self._folder)]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        with (self._folder.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.wait_until_up()

    def wait_until_up(self) -> None:
        deadline, server = monotonic() + _START_SECONDS, MilvusServer(self.uri, 1.0)
        while True:
            try:
                return server.ping()
            except IndexUnavailable:
                assert self._process
                assert self._process.poll() is None, "the server has ended"
                assert monotonic() < deadline, "the server does not start"
                sleep(0.1)

    def kill(self) -> None:
        """End the process without any chance to clean up."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop the process: connections are accepted, calls are not answered."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)


def _free_port() -> int:
    """Return a free port below those that connections take: one of these could meet itself."""
    first = 20_000 + os.getpid() % 11_000  # another run of the tests has other ports
    for port in range(first, 32_000):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
