"""Images to pixels in processes of their own: what breaks one of them breaks one request."""

import asyncio
import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tusou.core.arrays import Pixels
from tusou.core.errors import BadImage, NotReady, Overloaded, Unavailable
from tusou_service.images.decode_worker import REPLY, REQUEST

_log = logging.getLogger(__name__)


class DecodePool:
    """A bounded pool of decoding processes, each started when it is first needed.

    `lost` is called, in a thread, for each process that an image has ended.
    """

    def __init__(self, count: int, max_waiting: int, lost: Callable[[], None]) -> None:
        self._max_waiting, self._lost = max_waiting, lost
        # A thread writes to a process and waits for it; the event loop never does.
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decode")
        self._waiting = 0
        self._idle: list[_DecodeProcess] = []  # the one used last is at the end, and used next
        self._closed = False

    def start(self) -> None:
        """Start one process now, so that the first image does not wait for it."""
        self._threads.submit(lambda: self._give_back(_DecodeProcess()))

    async def decode(self, image: bytes | str, size: int) -> Pixels:
        """Return an image, given as its bytes or in base64, as (size, size, 3) RGB.

        Raises BadImage, Overloaded when too many wait, and Unavailable when nothing can decode.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded("Too many images at once.")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._decode, image, size)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End every process; one that is at work ends with its image."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            self._idle.pop().end()

    def _decode(self, image: bytes | str, size: int) -> Pixels:
        process = self._take()
        try:
            pixels = process.decode(image, size)
        except BadImage:
            self._give_back(process)
            raise
        except (OSError, EOFError):
            code = process.end()
            self._lost()
            _log.warning("an image ended its decoder", extra={"fields": {"exit_code": code}})
            raise BadImage("image crashes the decoder") from None
        self._give_back(process)
        return pixels

    def _take(self) -> "_DecodeProcess":
        while self._idle:
            process = self._idle.pop()
            if process.alive:  # something else may have ended it while it was idle
                return process
            process.end()
        if self._closed:
            raise NotReady("The service is stopping; send the request again.")
        try:
            return _DecodeProcess()
        except OSError as error:  # no memory, files or processes left
            _log.warning("no decoder can be started: %s", error)
            raise Unavailable("no decoder can be started") from error

    def _give_back(self, process: "_DecodeProcess") -> None:
        if self._closed:
            process.end()
        else:
            self._idle.append(process)


class _DecodeProcess:
    """One decoding process, used by one thread at a time."""

    def __init__(self) -> None:
        # What libraries print about an image is the stranger's text and does not go to the log.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tusou_service.images.decode_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def decode(self, image: bytes | str, size: int) -> Pixels:
        """Return the pixels, or raise BadImage; OSError or EOFError when the process has ended."""
        data = image.encode() if isinstance(image, str) else image
        requests, replies = self._process.stdin, self._process.stdout
        assert requests
        assert replies
        requests.write(REQUEST.pack(len(data), size, isinstance(image, str)))
        requests.write(data)
        requests.flush()
        head = replies.read(REPLY.size)
        if len(head) < REPLY.size:
            raise EOFError
        good, length = REPLY.unpack(head)
        content = replies.read(length)
        if len(content) < length:
            raise EOFError
        if not good:
            raise BadImage(content.decode())
        return np.frombuffer(content, np.uint8).reshape(size, size, 3)

    def end(self) -> int:
        """End the process and return its exit code."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was not written yet is not wanted any more
                if pipe:
                    pipe.close()
        return self._process.wait()
