"""Worker processes for images: one that crashes fails one image."""

import errno
import json
import logging
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import Self

from tusou.core.errors import BadImage, DeadlineExceeded, NotReady, OutOfMemory, Unavailable
from tusou.images.preprocess import MAX_MEGAPIXELS, MEGAPIXEL
from tusou.images.worker_handle import WorkerHandle
from tusou.images.worker_process import BAD_IMAGE, FAILED

_log = logging.getLogger(__name__)

# Images in work ahead of the consumer; at 224 pixels a side, 38 MB of results.
MAX_AHEAD = 256
# Seconds for one image where no deadline is given, waiting for its file included.
JOB_SECONDS = 30.0

# Decoding takes up to 16 bytes a pixel (WebP with transparency), and something for any image.
_BYTES_PER_PIXEL, _BASE_BYTES = 16, 256 * 2**20
# An earlier image may have damaged a worker: only crashes of fresh ones count against an image.
_MAX_CRASHES = 2
_MAX_KILLS = 3  # by SIGKILL, which comes from outside
_MAX_HANGS = 2  # the process group may have been stopped meanwhile
_CLOSED = "the image workers are closed"
_TOO_LATE = "The time limit passed before the image was decoded."


class ImageWorkers:
    """A pool of processes that run one job, each on one image at a time.

    A job is a function of a module, takes picklable arguments, returns bytes, and raises BadImage.
    An image is refused with BadImage if it crashes two fresh processes, fills the memory that
    images of `max_megapixels` may need, or takes too much processor time; the other images are not
    affected.
    Results are raw bytes and not pickles, so that an image that takes control of its process can
    run nothing here.

    Processes start when they are first needed, without the current folder on their path, and end
    with this process. `on_crash` is called, in a thread, for each process that is lost.
    """

    def __init__(
        self,
        job: Callable[..., bytes],
        count: int,
        *,
        max_megapixels: int = MAX_MEGAPIXELS,
        job_seconds: float = JOB_SECONDS,
        on_crash: Callable[[], None] = lambda: None,
    ) -> None:
        self._job = f"{job.__module__}:{job.__qualname__}"
        self._memory = _BASE_BYTES + _BYTES_PER_PIXEL * max_megapixels * MEGAPIXEL
        self._job_seconds, self._on_crash = job_seconds, on_crash
        # A thread writes to a process and waits for its reply.
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="image-worker")
        self._idle: list[WorkerHandle] = []  # the most recently used last; it is used next
        self._running: set[WorkerHandle] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start one process now, so that the first image does not wait for it."""
        self._threads.submit(lambda: self._release(self._acquire(fresh=True)))

    def submit(self, *arguments: object, deadline: float | None = None) -> Future[bytes]:
        """Run the job on one image, until a time of the monotonic clock.

        A process that has not finished by then is ended. The future raises BadImage, Unavailable,
        OutOfMemory if processes are killed from outside, OSError, and DeadlineExceeded; without a
        deadline TimeoutError, with the first argument as its file.
        """
        return self._threads.submit(self._run, arguments, deadline)

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
        """End all processes, including those that are running a job."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in tuple(self._running):  # the threads that use them end them
            process.kill()
        while self._idle:
            self._idle.pop().end()

    def _run(self, arguments: tuple[object, ...], deadline: float | None) -> bytes:
        crashes = kills = hangs = 0
        process = self._acquire()
        while True:
            if deadline is not None and monotonic() >= deadline:
                self._release(process)
                raise DeadlineExceeded(_TOO_LATE)
            until = monotonic() + self._job_seconds if deadline is None else deadline
            try:
                status, content = process.run(arguments, until)
            except TimeoutError:
                self._lose(process)
                if deadline is not None:
                    raise DeadlineExceeded(_TOO_LATE) from None
                hangs += 1
                if hangs == _MAX_HANGS:
                    reason = f"not read within {self._job_seconds:g} s; is its file system there?"
                    raise TimeoutError(errno.ETIMEDOUT, reason, arguments[0]) from None
            except (OSError, EOFError):
                code = self._lose(process)
                if code == -signal.SIGPROF:
                    raise BadImage("image takes too long to decode") from None
                kills += code == -signal.SIGKILL
                crashes += code != -signal.SIGKILL and process.fresh
                if kills == _MAX_KILLS:
                    raise OutOfMemory(
                        "image workers are killed (SIGKILL), most likely because memory is short; "
                        "free some, or use fewer processors"
                    ) from None
                if crashes == _MAX_CRASHES:
                    raise BadImage("image crashes the decoder") from None
            else:
                self._release(process)
                return _content(status, content)
            process = self._acquire(fresh=True)

    def _acquire(self, *, fresh: bool = False) -> WorkerHandle:
        while self._idle and not fresh:
            process = self._idle.pop()
            if process.alive:  # it may have been killed while it was idle
                self._running.add(process)
                return process
            process.end()
        return self._start()

    def _start(self) -> WorkerHandle:
        if self._closed:
            raise NotReady(_CLOSED)
        try:
            process = WorkerHandle(self._job, self._memory)
            self._running.add(process)
            try:
                process.wait_until_ready()
            except OSError:
                self._running.discard(process)
                process.end()
                raise
        except OSError as error:  # no memory, files or processes left
            if self._closed:
                raise NotReady(_CLOSED) from None
            _log.warning("no image worker can be started: %s", error)
            raise Unavailable(f"no image worker can be started: {error}") from error
        return process

    def _release(self, process: WorkerHandle) -> None:
        self._running.discard(process)
        if self._closed:
            process.end()
        else:
            self._idle.append(process)

    def _lose(self, process: WorkerHandle) -> int | None:
        """End a process that has failed; return its exit code."""
        code = process.end()
        self._running.discard(process)
        if self._closed:
            raise NotReady(_CLOSED)
        self._on_crash()
        _log.warning("an image worker is lost", extra={"fields": {"exit_code": code}})
        return code


def _content(status: int, content: bytes) -> bytes:
    if status == BAD_IMAGE:
        raise BadImage(content.decode())
    if status == FAILED:
        raise OSError(*json.loads(content))
    return content


def _result(future: Future[bytes]) -> bytes | BadImage:
    try:
        return future.result()
    except BadImage as error:
        return error
