"""The async face of a search pipeline: batching, deadlines, hot swap."""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol, Self, TypeAlias, TypeVar

from pydantic import BaseModel

from tusou.core.errors import InsufficientMemory, NotReady
from tusou.core.ids import ItemId
from tusou.retrieval.query import Query, VectorPart
from tusou_service.engine.batch_runner import Failed, Found, Job, Result, TextVector, answer_batch
from tusou_service.engine.interfaces import Arm, Reloaded, Status
from tusou_service.engine.micro_batcher import BatchLimits, MicroBatcher, PendingItem, QueueState
from tusou_service.engine.oom_retry import SplitOnOutOfMemory, is_device_lost, is_out_of_memory
from tusou_service.engine.served import Pipeline, ServedBundle, Source
from tusou_service.images.query_encoder import ImagePolicy, ImageQueryEncoder
from tusou_service.observability.metrics import Metrics
from tusou_service.observability.stages import mark_batches
from tusou_service.observability.traffic import Traffic

T = TypeVar("T")
Watcher: TypeAlias = Callable[[Sequence[Query], Sequence[Found]], None]

_log = logging.getLogger(__name__)

# A pipeline is heard of when it is about to be freed; that takes a moment.
_FREEING_SECONDS = 0.1
# The longest that a text can be for the model, several at once: processors share them.
_LONG_TEXTS = ["纯棉碎花吊带裙" * 10] * 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version that is open and warm; none when the one that serves is current."""

    previous: str
    pipeline: Pipeline | None


class SearchEngine:
    """Answers queries from the bundle that is current, and changes bundles without a gap.

    Enter it to start loading; `search` raises NotReady until that is done. A batch runs wholly on
    one pipeline, and a request's queries are all answered from one version.

    With a `partner` it is the second of two, arm b.
    """

    def __init__(
        self,
        source: Source,
        limits: BatchLimits,
        images: ImagePolicy = "auto",
        partner: "SearchEngine | None" = None,
    ) -> None:
        self.draining = False
        self.load_error: Exception | None = None
        self.arm: Arm = "b" if partner else "a"
        self.metrics: Metrics = partner.metrics if partner else Metrics()
        self.watcher: Watcher | None = None
        self._source = source
        self._pipeline: Pipeline | None = None
        self._batcher = MicroBatcher[Job, Result](
            SplitOnOutOfMemory(self._run, self._release), limits, is_device_lost
        )
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._sight = ImageQueryEncoder(
            images, self._current, self._in_loader, limits, self.metrics
        )
        self._reloading = asyncio.Lock()
        self._first_load: asyncio.Task[None] | None = None
        self.metrics.watch_queue(self.arm, lambda: self._batcher.depth)
        if not partner:
            self.metrics.watch_ready(lambda: self.ready)

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        await self._sight.__aenter__()
        self._first_load = asyncio.create_task(self._load_first(), name="first-load")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._first_load:
            self._first_load.cancel()
        self._loader.shutdown(wait=False, cancel_futures=True)
        await self._sight.__aexit__()
        await self._batcher.__aexit__()

    @property
    def ready(self) -> bool:
        """Whether traffic should come here."""
        return self._pipeline is not None and self._batcher.alive and not self.draining

    @property
    def idle(self) -> bool:
        """Whether no query waits or is being answered."""
        return self._batcher.idle

    @property
    def pressure(self) -> QueueState:
        """Say what stands before one more search."""
        return self._batcher.pressure()

    @property
    def traffic(self) -> Traffic:
        """Where requests are counted."""
        return self.metrics.traffic

    @property
    def worker_error(self) -> Exception | None:
        """Say why the worker was given up; then only a new process can help."""
        return self._batcher.failure or self._sight.failure

    @property
    def bundle(self) -> ServedBundle:
        """What is served now; NotReady before there is anything."""
        return self._current().bundle

    async def loaded(self) -> None:
        """Wait until the first load has ended, well or with `load_error`."""
        if self._first_load:
            await asyncio.wait([self._first_load])

    def admit(self, deadline: float) -> None:
        """Raise what one more search would raise now, before anything is read or parsed."""
        self._current()
        self._batcher.admit(1, deadline)

    async def search(self, asks: Sequence[Query], deadline: float) -> list[Found]:
        """Answer in order, all from one version; the first error of one ask is the error of all."""
        results = await self._of_one_version(asks, deadline)
        for one in results:
            if isinstance(one, Failed):
                raise one.error
        found = [one for one in results if isinstance(one, Found)]
        if self.watcher:
            self.watcher(asks, found)
        return found

    async def embed(self, texts: Sequence[str], deadline: float) -> list[TextVector]:
        """Encode normalised texts in order, all by one version's model."""
        results = await self._of_one_version(texts, deadline)
        return [one for one in results if isinstance(one, TextVector)]

    async def see(self, image: bytes | str, deadline: float) -> VectorPart:
        """Encode an image, given as its bytes or in base64; BadImage, or Unavailable."""
        return await self._sight.see(image, deadline)

    async def _of_one_version(self, jobs: Sequence[Job], deadline: float) -> list[Result]:
        self._current()
        asked = perf_counter()
        try:
            results = await self._batcher.all(jobs, deadline)
            while len({one.version for one in results}) > 1:  # a reload came between two batches
                results = await self._batcher.all(jobs, deadline)
        except asyncio.CancelledError:
            self.metrics.cancelled.inc()
            raise
        mark_batches(asked, (one.run for one in results))
        return results

    async def reload(self) -> Reloaded:
        """Swap to the current version; on any error the old one keeps serving."""
        async with self._reloading:
            return self.commit(await self.prepare())

    async def prepare(self) -> Prepared:
        """Open the current version, if it is another, beside the one that serves."""
        previous = self.bundle.version
        try:
            if await self._in_loader(self._source.current_version) == previous:
                return Prepared(previous, None)
            return Prepared(previous, await self._in_loader(self._open))
        except Exception as error:
            self.metrics.reloads.labels("failed").inc()
            _log.warning("reload failed: %s", error, extra={"fields": {"arm": self.arm}})
            raise

    def commit(self, prepared: Prepared) -> Reloaded:
        """Swap to what was prepared."""
        if prepared.pipeline:
            self._swap(prepared.pipeline)
        done = Reloaded(self.bundle.version, prepared.previous)
        self.metrics.reloads.labels("swapped" if done.changed else "unchanged").inc()
        return done

    async def image(self, item_id: str) -> tuple[bytes, str]:
        """Return an image's bytes and content type; UnknownItem."""
        return await asyncio.to_thread(self.bundle.image, item_id)

    async def item(self, item_id: str) -> tuple[ItemId, str | None]:
        """Return an item's id and its text, or None where items are images; UnknownItem."""
        bundle = self.bundle
        text = await asyncio.to_thread(bundle.text, item_id)
        return int(item_id) if bundle.id_type == "int" else item_id, text

    def status(self) -> Status:
        """Say what is served; NotReady before there is anything."""
        bundle, images = self.bundle, self._sight.state
        return Status(
            ready=self.ready,
            version=bundle.version,
            item_count=bundle.item_count,
            model_name=bundle.model_name,
            precision=self._current().precision,
            backend=self._current().backend,
            id_type=bundle.id_type,
            items=bundle.items,
            images=images,
            accepts=("text", "item") if images == "unavailable" else ("text", "image", "item"),
        )

    def manifest(self) -> BaseModel:
        """Say how what is served was made; NotReady likewise."""
        return self.bundle.manifest

    def expose(self) -> bytes:
        """Return what is counted, in Prometheus's text format."""
        return self.metrics.expose()

    async def _load_first(self) -> None:
        try:
            self._swap(await self._in_loader(self._open))
        except Exception as error:  # noqa: BLE001 - whoever runs the process decides how it ends
            self.load_error = error

    async def _in_loader(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loader, work)

    def _open(self) -> Pipeline:
        if self._pipeline:
            self._release()  # what is kept for later would not count as free
        try:
            pipeline = self._source.open()
            pipeline.warm_up()
            self._batcher.set_expected_item_time(_seconds_of(pipeline))
            if self._sight.wanted(pipeline):
                self._sight.load_tower(pipeline)
            pipeline.release_memory()  # what only loading needed
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise InsufficientMemory(
                "the bundle does not fit the device's memory; free some, or stop the service first"
            ) from error
        return pipeline

    def _release(self) -> None:
        self._current().release_memory()

    def _let_go(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear, in whatever thread and in the midst of anything, that a pipeline is being freed."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(loop.call_later, _FREEING_SECONDS, self._give_back)

    def _give_back(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loader has been left
            self._loader.submit(self._release)

    def _swap(self, fresh: Pipeline) -> None:
        if self._pipeline:  # the last batch on it lets it go, and then what it held is free
            loop = asyncio.get_running_loop()
            weakref.finalize(self._pipeline, self._let_go, loop).atexit = False
        self._pipeline = fresh
        bundle = fresh.bundle
        self.metrics.serve_index(self.arm, bundle.version, bundle.item_count)
        _log.info("serving", extra={"fields": {"index_version": bundle.version, "arm": self.arm}})

    def _current(self) -> Pipeline:
        if self._pipeline is None:
            raise NotReady("The service is loading its index; try again shortly.")
        return self._pipeline

    def _run(self, callers: list[PendingItem[Job, Result]]) -> list[Result]:
        """Do one batch, in the batcher's thread; a swap meanwhile is for the next."""
        return answer_batch(self._current(), callers, self.metrics, self.arm)


def _seconds_of(pipeline: Pipeline) -> float:
    """Measure what a long text takes, once its passes are as fast as they get."""
    pipeline.encode_texts(_LONG_TEXTS)
    began = perf_counter()
    pipeline.encode_texts(_LONG_TEXTS)
    return (perf_counter() - began) / len(_LONG_TEXTS)


class ExperimentArms(Protocol):
    """Two bundles behind one service: `tusou_service.experiment.ab_test.Experiment`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def ready(self) -> bool:
        """Whether every arm that answers is ready."""
        ...

    @property
    def vital(self) -> Sequence[SearchEngine]:
        """The engines without which this process cannot do its work."""
        ...

    def engine_for(self, headers: Mapping[str, str]) -> SearchEngine:
        """Return the engine that answers a request with these headers."""
        ...

    async def reload(self) -> tuple[Reloaded, Reloaded | None]:
        """Change both engines to their current versions, or neither; shadow: each on its own.

        The second result is None when the shadow's bundle could not be loaded.
        """
        ...
