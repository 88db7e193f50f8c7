"""The server of `transformers serve` in a process of its own."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import httpx

_START_SECONDS = 300


class ModelServer:
    """Serves models by the path of their folder; its port stays the same."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._arguments = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        self._url = f"http://127.0.0.1:{port}"
        self.url = f"{self._url}/v1"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and return once it answers."""
        command = [str(Path(sys.executable).with_name("transformers")), *self._arguments]
        offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | offline
            )
        deadline = monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert monotonic() < deadline, "the server does not start"
            sleep(0.2)

    def kill(self) -> None:
        """End the process without any chance to clean up."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self._url}/health", timeout=1).is_success
        except httpx.HTTPError:
            return False
