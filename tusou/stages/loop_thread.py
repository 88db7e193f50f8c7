"""An event loop in a thread of its own, for callers that are not asynchronous."""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_Started: TypeAlias = Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]


class LoopThread:
    """Runs coroutines until it is closed or freed; then `release` is awaited in its thread."""

    def __init__(self, name: str, release: Callable[[], Awaitable[None]]) -> None:
        started: _Started = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(_wait_for_end(started, release)), name=name, daemon=True
        )
        thread.start()
        self._loop, ended = started.result()
        self.close = weakref.finalize(self, _end, self._loop, ended, thread)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine; cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


async def _wait_for_end(started: _Started, release: Callable[[], Awaitable[None]]) -> None:
    ended = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), ended))
    await ended.wait()
    await release()


def _end(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(ended.set)
    if thread is not threading.current_thread():  # the last reference may be held there
        thread.join()
