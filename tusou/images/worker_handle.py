"""A worker process for images, seen from its parent: start, requests with a time limit, end."""

import contextlib
import os
import pickle
import select
import subprocess
import sys
from time import monotonic

from tusou.images.worker_process import READY, REPLY, REQUEST

# Seconds for the imports of a worker; on a busy machine they take several.
_START_SECONDS = 60.0
# Seconds between checks whether another thread has killed the process.
_CHECK_SECONDS = 0.2
# Seconds for a killed process to exit; one that hangs in the kernel does not.
_END_SECONDS = 1.0


class WorkerHandle:
    """One process, used by one thread at a time; `kill` may be called by another."""

    def __init__(self, job: str, memory: int) -> None:
        """Start a process for a `module:function`; `memory` is its limit in bytes. OSError."""
        self.fresh = True  # whether it has finished no image yet
        self._killed = False
        self._command = [
            sys.executable,
            "-P",
            "-m",
            "tusou.images.worker_process",
            job,
            str(memory),
        ]
        # Libraries may print text from the image, which must not reach the log.
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our module
            self._command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)

    def wait_until_ready(self) -> None:
        """Wait until the job is imported; OSError."""
        try:
            self._read(len(READY), monotonic() + _START_SECONDS)
        except (OSError, EOFError):
            command = " ".join(self._command)
            raise OSError(f"`{command}` does not start; run it to see why") from None

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, arguments: tuple[object, ...], until: float) -> tuple[int, bytes]:
        """Return the status and content of the reply.

        Raises OSError or EOFError after a crash, and TimeoutError at `until` of the monotonic
        clock.
        """
        data = pickle.dumps(arguments)
        self._write(REQUEST.pack(len(data)) + data, until)
        status, length = REPLY.unpack(self._read(REPLY.size, until))
        content = self._read(length, until)
        self.fresh = False
        return status, content

    def kill(self) -> None:
        """Kill the process; the thread that uses it gets EOFError."""
        self._killed = True
        self._process.kill()

    def end(self) -> int | None:
        """Kill the process and return its exit code; None if it hangs in the kernel."""
        self.kill()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):  # the rest of a request cannot be written
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS)
        return None

    def _write(self, data: bytes, until: float) -> None:
        rest = memoryview(data)
        while rest:
            self._wait(self._requests.fileno(), select.POLLOUT, until)
            rest = rest[os.write(self._requests.fileno(), rest) :]

    def _read(self, length: int, until: float) -> bytes:
        content = bytearray()
        while len(content) < length:
            self._wait(self._replies.fileno(), select.POLLIN, until)
            part = os.read(self._replies.fileno(), length - len(content))
            if not part:
                raise EOFError
            content += part
        return bytes(content)

    def _wait(self, file: int, event: int, until: float) -> None:
        """Wait for an end of a pipe. A hanging process cannot be waited for otherwise."""
        poll = select.poll()
        poll.register(file, event)
        while not self._killed:
            left = until - monotonic()
            if left <= 0:
                raise TimeoutError
            if poll.poll(min(left, _CHECK_SECONDS) * 1000):
                return
        raise EOFError
