"""Versions of a bundle: loading, changing from one to the next, and following CURRENT."""

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Self, TypeVar

from tusou.core.errors import (
    CorruptBundle,
    IndexUnavailable,
    InsufficientMemory,
    NotReady,
    StoreUnreachable,
    Unavailable,
)
from tusou.core.memory_budget import is_out_of_memory
from tusou_service.engine.interfaces import Arm, Pipeline, PipelineSource, ReloadResult
from tusou_service.observability.metrics import Metrics, ServedVersion

T = TypeVar("T")

_log = logging.getLogger(__name__)

# The finalizer of a pipeline runs before its memory is free; that takes a moment.
_FREEING_SECONDS = 0.1
# Between attempts to open a first version whose index is on a server that does not answer.
_INDEX_RETRY_SECONDS = 2.0
_REMEMBERED = 100  # versions


class BundleVersions:
    """Holds the pipeline of the version that is served, and changes it without a gap.

    Entering it starts the first load. A new version is opened beside the one that serves, in a
    thread of its own; on any error the old one keeps serving. `warm_up` runs in that thread on
    each new pipeline, and `on_replaced` with the version that is no longer served.
    """

    def __init__(
        self,
        source: PipelineSource,
        warm_up: Callable[[Pipeline], None],
        metrics: Metrics,
        arm: Arm,
        on_replaced: Callable[[str], None] | None = None,
    ) -> None:
        self.served: Pipeline | None = None  # of the version that is served
        self.served_before: deque[str] = deque(maxlen=_REMEMBERED)
        self.load_seconds = 0.0  # of the last load
        self._source, self._warm_up = source, warm_up
        self._metrics, self._arm = metrics, arm
        self._on_replaced = on_replaced
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._reloading = asyncio.Lock()
        self._first_load: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._first_load = asyncio.create_task(self._load_first(), name="first-load")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._first_load:
            self._first_load.cancel()
        self._loader.shutdown(wait=False, cancel_futures=True)

    @property
    def version(self) -> str | None:
        """The version that is served, or None while the first loads."""
        return self.served.bundle.version if self.served else None

    @property
    def load_error(self) -> BaseException | None:
        """The error that ended the first load, or None while it runs and after it has succeeded."""
        load = self._first_load
        return load.exception() if load and load.done() and not load.cancelled() else None

    async def loaded(self) -> None:
        """Wait for the end of the first load; `load_error` says whether it has failed."""
        if self._first_load:
            await asyncio.wait([self._first_load])

    async def current(self) -> str | None:
        """Return the version that CURRENT names, or None if it cannot be read."""
        try:
            return await self.run_in_loader(self._source.current_version)
        except (CorruptBundle, StoreUnreachable):
            return None

    async def look(self) -> str | None:
        """Return the version that CURRENT names now, also during a load; StoreUnreachable."""
        try:
            return await asyncio.to_thread(self._source.current_version)
        except CorruptBundle:
            return None

    async def reload(self) -> ReloadResult:
        """Change to the current version."""
        async with self._reloading:
            return self.commit(await self.prepare())

    async def prepare(self) -> Pipeline | None:
        """Open and warm up the current version; None if it is served already."""
        if (previous := self.version) is None:
            raise NotReady("The first version is loading; try again shortly.")
        try:
            if await self.run_in_loader(self._source.current_version) == previous:
                return None
            return await self.run_in_loader(self._open)
        except Exception as error:  # logged and counted here; the caller decides
            self._metrics.reloads.labels("failed").inc()
            _log.warning("reload failed: %s", error, extra={"fields": {"arm": self._arm}})
            raise

    def commit(self, prepared: Pipeline | None) -> ReloadResult:
        """Serve what `prepare` returned from the next batch on."""
        assert self.served  # `prepare` needs a version that is served
        previous = self.served.bundle.version
        if prepared:
            self._serve(prepared)
        result = ReloadResult(self.served.bundle.version, previous)
        self._metrics.reloads.labels("swapped" if result.changed else "unchanged").inc()
        return result

    def release_memory(self) -> None:
        """Return the memory that the device's allocator keeps for later use."""
        if self.served:
            self.served.release_memory()

    async def run_in_loader(self, work: Callable[[], T]) -> T:
        """Run work in the thread that loads, after the loads before it."""
        return await asyncio.get_running_loop().run_in_executor(self._loader, work)

    async def _load_first(self) -> None:
        while self.served is None:
            try:
                self._serve(await self.run_in_loader(self._open))
            except IndexUnavailable as error:  # it serves when the index's server is back
                _log.warning("waiting for the index: %s", error)
                await asyncio.sleep(_INDEX_RETRY_SECONDS)

    def _open(self) -> Pipeline:
        started = perf_counter()
        self.release_memory()  # cached memory would not count as free
        try:
            pipeline = self._source.open()
            self._warm_up(pipeline)
            pipeline.release_memory()  # only loading needed it
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise InsufficientMemory(
                "the bundle does not fit the device's memory; free some, or stop the service first"
            ) from error
        self.load_seconds = perf_counter() - started
        return pipeline

    def _serve(self, pipeline: Pipeline) -> None:
        if self.served:  # it is freed after the last batch that uses it
            loop = asyncio.get_running_loop()
            weakref.finalize(self.served, self._on_freed, loop).atexit = False
            self.served_before.append(self.served.bundle.version)
            if self._on_replaced:
                self._loader.submit(self._on_replaced, self.served.bundle.version)
        self.served = pipeline
        bundle = pipeline.bundle
        self._metrics.served[self._arm] = ServedVersion(
            bundle.version, bundle.item_count, pipeline.encoder_name
        )
        fields = {
            "index_version": bundle.version,
            "arm": self._arm,
            "model": bundle.model_name,
            "query_encoder": pipeline.encoder_name,
            "items": bundle.item_count,
            "device": pipeline.device,
            "precision": pipeline.precision,
            "backend": pipeline.backend,
        }
        _log.info("serving", extra={"fields": fields})

    def _on_freed(self, loop: asyncio.AbstractEventLoop) -> None:
        """Schedule a release of memory. A weakref callback: it may run in any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(loop.call_later, _FREEING_SECONDS, self._release_later)

    def _release_later(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loader is shut down
            self._loader.submit(self.release_memory)


class VersionFollower:
    """Reloads when CURRENT names another version: on a notice, and every `period` seconds.

    A version that could not be loaded is tried once, not every period, unless its store was
    unreachable; a notice tries it again.
    A period of 0 waits for notices alone.
    """

    def __init__(
        self,
        versions: Sequence[BundleVersions],
        reload: Callable[[], Awaitable[object]],
        period: float,
    ) -> None:
        self._versions, self._reload, self._period = versions, reload, period
        self._notice = asyncio.Event()
        self._tried: list[str | None] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name="follow-current")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    def notify(self) -> None:
        """Look at CURRENT now, and try again what has failed before."""
        self._notice.set()

    async def _follow(self) -> None:
        while True:
            noticed = await self._wait()
            for versions in self._versions:
                await versions.loaded()
            current = [await versions.current() for versions in self._versions]
            served = [versions.version for versions in self._versions]
            if current == served:
                self._tried = []
            elif noticed or current != self._tried:
                self._tried = current
                with contextlib.suppress(Exception):  # logged and counted by `prepare`
                    try:
                        await self._reload()
                    except Unavailable:
                        if None not in current:  # the store answers again
                            self._tried = []

    async def _wait(self) -> bool:
        """Wait for a notice or for the end of a period; return whether there was a notice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._period or None):
                await self._notice.wait()
        noticed = self._notice.is_set()
        self._notice.clear()
        return noticed
