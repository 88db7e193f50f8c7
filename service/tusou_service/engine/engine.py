"""The search engine: batches queries over the bundle version that is served."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

import numpy as np

from tusou.core.arrays import Vectors
from tusou.core.errors import IncompatibleBundle, InputError, NotReady, TusouError
from tusou.core.hits import Hits
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou.retrieval.no_encoder import require_encoder
from tusou.retrieval.query import Query, VectorPart, given_vector
from tusou.retrieval.results import TextEmbeddings
from tusou_service.engine.batch_queue import PendingItem
from tusou_service.engine.batch_runner import (
    BatchRunner,
    ItemText,
    Job,
    Result,
    record_stages,
    run_batch,
)
from tusou_service.engine.content_encoder import encode_contents
from tusou_service.engine.interfaces import (
    Arm,
    EncoderKind,
    LiveOptions,
    Pipeline,
    PipelineSource,
)
from tusou_service.engine.micro_batcher import BatchLimits, MicroBatcher
from tusou_service.engine.newer_versions import NewerVersions
from tusou_service.engine.oom_retry import is_device_lost
from tusou_service.engine.rerank_runner import RerankRunner
from tusou_service.engine.versions import BundleVersions
from tusou_service.images.query_encoder import (
    MAX_IMAGE_BATCH,
    MAX_WAITING_IMAGES,
    ImagePolicy,
    ImageQueryEncoder,
    PreparedImage,
)
from tusou_service.images.source_reader import SourceReader
from tusou_service.observability.metrics import Metrics

if TYPE_CHECKING:  # imports pyarrow, which only live changes and attributes need
    from tusou_service.engine.live_changes import LiveChanges

Outcome = TypeVar("Outcome", bound=Result | InputError)
SearchListener: TypeAlias = Callable[[Sequence[Query], Sequence[Hits]], None]

_USUAL_TOP_K = 10
_SHORT_TEXT = "红色碎花连衣裙"
# Texts of the model's full length; several at once, because the cores share a batch.
_LONG_TEXTS = ["纯棉碎花吊带裙" * 10] * 4
_LOADING = "The service is loading its index; try again shortly."


class SearchEngine:
    """Answers queries from one version of a bundle at a time.

    Entering it starts the first load; until that ends, `search` raises NotReady. A batch runs on
    one pipeline, and all queries of a request are answered from one version.

    With a `partner` it is the second engine of an experiment, arm b, and shares the metrics.
    """

    def __init__(
        self,
        source: PipelineSource,
        limits: BatchLimits,
        images: ImagePolicy = "auto",
        partner: "SearchEngine | None" = None,
        max_megapixels: int = MAX_MEGAPIXELS,
        live: LiveOptions | None = None,
        query_encoder: EncoderKind = "teacher",
    ) -> None:
        self.draining = False
        self.query_encoder: EncoderKind = query_encoder
        self.arm: Arm = "b" if partner else "a"
        self.metrics: Metrics = partner.metrics if partner else Metrics()
        self.on_searched: SearchListener | None = None
        self.live = _open_changes(live, self.metrics) if live else None
        self.versions = BundleVersions(
            source, self._warm_up, self.metrics, self.arm, self.live.detach if self.live else None
        )
        self.newer_versions = NewerVersions(self.versions)
        if self.live:
            self.live.reload = self.versions.reload
        release_memory = self.versions.release_memory
        self._batcher = MicroBatcher[Job, Result](
            BatchRunner(self._run_batch, release_memory), limits, is_device_lost
        )
        image_batcher = MicroBatcher[PreparedImage, VectorPart](
            BatchRunner(self._run_image_batch, release_memory),
            replace(limits, max_batch=MAX_IMAGE_BATCH, max_waiting=MAX_WAITING_IMAGES),
            is_device_lost,
        )
        self.images = ImageQueryEncoder(
            images,
            image_batcher,
            lambda: self.pipeline,
            self.versions.run_in_loader,
            self.metrics,
            max_megapixels,
        )
        self.source = SourceReader()
        self._reranks = RerankRunner(self.metrics, self.arm)
        self._image_batcher = image_batcher
        self.metrics.depths[self.arm] = lambda: self._batcher.depth
        if not partner:
            self.metrics.is_ready = lambda: self.ready

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        await self._image_batcher.__aenter__()
        await self.images.__aenter__()
        await self.source.__aenter__()
        if self.live:
            await self.live.__aenter__()
        await self.versions.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.versions.__aexit__()
        if self.live:
            await self.live.__aexit__()
        await self.source.__aexit__()
        await self.images.__aexit__()
        await self._image_batcher.__aexit__()
        await self._batcher.__aexit__()
        self._reranks.close()

    @property
    def ready(self) -> bool:
        """Return whether a load balancer should send requests here."""
        served = self.versions.served
        if served is None or not self._batcher.alive or self.draining:
            return False
        return served.index_server is None or served.index_server.available

    async def check_index(self) -> None:
        """Raise IndexUnavailable if the index is on a server that does not answer."""
        if (server := self.pipeline.index_server) is not None:
            await asyncio.to_thread(server.ping)

    @property
    def idle(self) -> bool:
        """Return whether no query waits or runs."""
        return self._batcher.idle

    @property
    def worker_error(self) -> Exception | None:
        """The error after which a batch thread was given up; only a new process can help."""
        return self._batcher.failure or self._image_batcher.failure

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of the version that is served; NotReady while the first loads."""
        if not self.versions.served:
            raise NotReady(_LOADING)
        return self.versions.served

    def admit(self, deadline: float, *, is_large: bool = False) -> None:
        """Raise the error of a search that would be refused now, before its body is read or parsed.

        A call of several queries, `is_large`, waits behind others.
        """
        if not self.versions.served:
            raise NotReady(_LOADING)
        self._batcher.admit(1, deadline, is_large=is_large)

    async def search(self, queries: Sequence[Query], deadline: float) -> list[Hits]:
        """Return the results in order, all from one version.

        If queries have errors, raise the first of them.
        """
        retrieved = await self._run_on_one_version(queries, deadline, self._batcher.all)
        results = await self._reranks.finish(retrieved, deadline)
        hits = [result for result in results if isinstance(result, Hits)]
        if self.on_searched:
            self.on_searched(queries, hits)
        return hits

    async def search_each(
        self, queries: Sequence[Query], deadline: float
    ) -> list[Hits | InputError]:
        """Return the results in order, all from one version, or the errors of single queries."""
        retrieved = await self._run_on_one_version(queries, deadline, self._batcher.each)
        results = await self._reranks.finish(retrieved, deadline)
        outcomes = [result for result in results if isinstance(result, Hits | InputError)]
        answered = [
            (query, outcome)
            for query, outcome in zip(queries, outcomes, strict=True)
            if isinstance(outcome, Hits)
        ]
        if self.on_searched and answered:
            self.on_searched(*zip(*answered, strict=True))
        return outcomes

    async def encode_texts(self, texts: Sequence[str], deadline: float) -> TextEmbeddings:
        """Encode normalised texts in order, all by the model of one version; NoEncoder."""
        require_encoder(self.pipeline.bundle.manifest)
        results = await self._run_on_one_version(texts, deadline, self._batcher.all)
        parts = [result for result in results if isinstance(result, TextEmbeddings)]
        vectors = np.concatenate([part.vectors for part in parts])
        tokens = tuple(part.tokens[0] for part in parts)
        return TextEmbeddings(vectors, tokens, parts[0].index_version)

    async def encode_item_text(self, text: str, deadline: float) -> Vectors:
        """Encode a text as an item of the served version, (d,)."""
        (result,) = await self._batcher.all([ItemText(text)], deadline)
        assert isinstance(result, TextEmbeddings)
        vector: Vectors = result.vectors[0]
        return vector

    async def _run_on_one_version(
        self,
        jobs: Sequence[Job],
        deadline: float,
        run: Callable[[Sequence[Job], float], Awaitable[list[Outcome]]],
    ) -> list[Outcome]:
        try:
            results = await run(self._pinned(jobs), deadline)
            while len(_versions(results)) > 1:  # reloaded in between
                results = await run(self._pinned(jobs), deadline)
        except asyncio.CancelledError:
            self.metrics.cancelled.inc()
            raise
        return results

    def _pinned(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the queries of one call bound to one snapshot: a call can take several batches."""
        if self.live is None or len(jobs) == 1:
            return jobs
        view = self.pipeline.view
        return [replace(job, view=view) if isinstance(job, Query) else job for job in jobs]

    def _warm_up(self, pipeline: Pipeline) -> None:
        """Prepare a new pipeline, in the loader's thread."""
        pipeline.warm_up()
        if not pipeline.bundle.manifest.has_encoder:
            self._warm_up_vectors(pipeline)
            return
        self._batcher.measure_times(
            lambda count: pipeline.encode_texts([_SHORT_TEXT] * count),
            _measure_text_time(pipeline),
        )
        if self.images.needs_tower(pipeline):
            self.images.load_tower(pipeline)
        if self.live:  # last: changes are checked against this version from here on
            self.live.attach(pipeline, partial(encode_contents, pipeline, self.images.load_tower))

    def _warm_up_vectors(self, pipeline: Pipeline) -> None:
        """Prepare the pipeline of a bundle of vectors alone."""
        if self.live:
            raise IncompatibleBundle(
                "the bundle holds vectors without a model that could encode new items: serve it "
                "with TUSOU_LIVE=off, or index the vectors with --model"
            )
        part = given_vector(pipeline.bundle.vectors[0])
        queries = [Query((part,), _USUAL_TOP_K)]
        self._batcher.measure_times(
            lambda count: pipeline.retrieve(queries * count, lambda _: True)
        )

    def _run_batch(self, batch: list[PendingItem[Job, Result]]) -> list[Result | TusouError]:
        """Run a batch in the batcher's thread; a reload meanwhile affects the next batch."""
        return run_batch(self.pipeline, batch, self.metrics, self.arm)

    def _run_image_batch(
        self, batch: list[PendingItem[PreparedImage, VectorPart]]
    ) -> list[VectorPart]:
        started = perf_counter()
        parts = self.images.encode_batch([pending.item for pending in batch])
        record_stages(batch, started, [("encode_image", perf_counter() - started)])
        return parts


def _open_changes(options: LiveOptions, metrics: Metrics) -> "LiveChanges":
    from tusou_service.engine.live_changes import LiveChanges  # noqa: PLC0415 - imports pyarrow

    return LiveChanges(options, metrics)


def _versions(results: Sequence[Result | InputError]) -> set[str]:
    return {result.index_version for result in results if not isinstance(result, InputError)}


def _measure_text_time(pipeline: Pipeline) -> float:
    """Return the seconds that one long text takes in a warm batch."""
    pipeline.encode_texts(_LONG_TEXTS)
    started = perf_counter()
    pipeline.encode_texts(_LONG_TEXTS)
    return (perf_counter() - started) / len(_LONG_TEXTS)
