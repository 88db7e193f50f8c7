"""Worker processes for images: one that crashes fails one image."""

import contextlib
import json
import logging
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from tusou.core.errors import BadImage, NotReady, Unavailable
from tusou.images.worker_process import BAD_IMAGE, FAILED, READY, REPLY, REQUEST

_log = logging.getLogger(__name__)

# Images in work ahead of the consumer; at 224 pixels a side, 38 MB of results.
MAX_AHEAD = 256


class ImageWorkers:
    """A pool of processes that run one job, each on one image at a time.

    A job is a function of a module, takes picklable arguments, returns bytes, and raises BadImage.
    An image that crashes its process, fills the process's memory or never ends is a BadImage; the
    other images are not affected. Results are raw bytes and not pickles, so that an image that
    takes control of its process can run nothing here.

    Processes start when they are first needed, without the current folder on their path, and end
    with this process. `attempts` is how often an image may crash a process before it is given up.
    `on_crash` is called, in a thread, for each process that crashed.
    """

    def __init__(
        self,
        job: Callable[..., bytes],
        count: int,
        *,
        attempts: int = 1,
        on_crash: Callable[[], None] = lambda: None,
    ) -> None:
        self._job = f"{job.__module__}:{job.__qualname__}"
        self._attempts, self._on_crash = attempts, on_crash
        # A thread writes to a process and waits for its reply.
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="image-worker")
        self._idle: list[_WorkerProcess] = []  # the most recently used last; it is used next
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start one process now, so that the first image does not wait for it."""
        self._threads.submit(lambda: self._release(_WorkerProcess(self._job)))

    def submit(self, *arguments: object) -> Future[bytes]:
        """Run the job on one image; the future raises BadImage, Unavailable or OSError."""
        return self._threads.submit(self._run, arguments)

    def map(self, images: Iterable[tuple[object, ...]]) -> Iterator[bytes | BadImage]:
        """Run the job on the arguments of each image; yield results in the same order.

        A bounded number of images is in work ahead of the consumer.
        """
        running: deque[Future[bytes]] = deque()
        for arguments in images:
            running.append(self.submit(*arguments))
            if len(running) > MAX_AHEAD:
                yield _result(running.popleft())
        while running:
            yield _result(running.popleft())

    def close(self) -> None:
        """End the processes; one that is running a job ends after it."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            self._idle.pop().end()

    def _run(self, arguments: tuple[object, ...]) -> bytes:
        for _ in range(self._attempts):
            process = self._acquire()
            try:
                status, content = process.run(arguments)
            except (OSError, EOFError):
                code = process.end()
                self._on_crash()
                _log.warning("an image crashed its worker", extra={"fields": {"exit_code": code}})
                continue
            self._release(process)
            if status == BAD_IMAGE:
                raise BadImage(content.decode())
            if status == FAILED:
                raise OSError(*json.loads(content))
            return content
        raise BadImage("image crashes the decoder")

    def _acquire(self) -> "_WorkerProcess":
        while self._idle:
            process = self._idle.pop()
            if process.alive:  # it may have been killed while it was idle
                return process
            process.end()
        if self._closed:
            raise NotReady("the image workers are closed")
        try:
            return _WorkerProcess(self._job)
        except OSError as error:  # no memory, files or processes left
            _log.warning("no image worker can be started: %s", error)
            raise Unavailable("no image worker can be started") from error

    def _release(self, process: "_WorkerProcess") -> None:
        if self._closed:
            process.end()
        else:
            self._idle.append(process)


class _WorkerProcess:
    """One process, used by one thread at a time."""

    def __init__(self, job: str) -> None:
        command = [sys.executable, "-P", "-m", "tusou.images.worker_process", job]
        # Libraries print text of the image's sender, which must not reach the log.
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout
        if self._replies.read(len(READY)) != READY:
            self.end()
            raise OSError(f"`{' '.join(command)}` does not start; run it to see why")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, arguments: tuple[object, ...]) -> tuple[int, bytes]:
        """Return the status and content of the reply; OSError or EOFError after a crash."""
        data = pickle.dumps(arguments)
        self._requests.write(REQUEST.pack(len(data)) + data)
        self._requests.flush()
        status, length = REPLY.unpack(self._read(REPLY.size))
        return status, self._read(length)

    def _read(self, length: int) -> bytes:
        content = self._replies.read(length)
        if len(content) < length:
            raise EOFError
        return content

    def end(self) -> int:
        """Kill the process and return its exit code."""
        self._process.kill()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):  # the rest of a request cannot be written
                pipe.close()
        return self._process.wait()


def _result(future: Future[bytes]) -> bytes | BadImage:
    try:
        return future.result()
    except BadImage as error:
        return error
