"""Reads of the source's files, each with a deadline: a network file system can hang."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from tusou.core.errors import DeadlineExceeded

T = TypeVar("T")

# A read that hangs keeps its thread until the process ends.
_MAX_READS = 32


class SourceReader:
    """Runs reads in threads of their own, so that a hanging read blocks no request."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MAX_READS, thread_name_prefix="source-reader")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, read: Callable[[], T], deadline: float) -> T:
        """Return the result of `read`; DeadlineExceeded at a time of the event loop's clock."""
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._threads, read)
        except TimeoutError:
            raise DeadlineExceeded("The source's file could not be read in time.") from None
