"""SearchEngine: loading, one version per request, reloads, and device errors."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.micro_batcher import BatchLimits

from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource
from tusou.core.errors import (
    CorruptBundle,
    DeadlineExceeded,
    InsufficientMemory,
    NotReady,
    OutOfMemory,
    UnknownItem,
)
from tusou.core.hits import Hits
from tusou.retrieval.query import Query


@asynccontextmanager
async def entered(
    source: TinySource, max_batch: int = 4, stall_after: float = 20
) -> AsyncIterator[SearchEngine]:
    async with SearchEngine(source, BatchLimits(max_batch, 64, stall_after)) as engine:
        await engine.versions.loaded()
        yield engine


def queries_of(queries: list[str], top_k: int) -> list[Query]:
    return [Query.of_text(query, top_k) for query in queries]


def soon(seconds: float = 20) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_answers_after_warm_up(source: TinySource) -> None:
    async with entered(source) as engine:
        assert source.pipeline.warm
        (hits,) = await engine.search(queries_of(["裙"], 3), soon())
        assert (hits.item_ids, hits.index_version) == ((0, 1, 2), "v1")
        assert engine.ready


async def test_is_not_ready_while_loading(source: TinySource) -> None:
    source.gate = threading.Event()
    async with SearchEngine(source, BatchLimits(4, 64, 20)) as engine:
        assert not engine.ready
        with pytest.raises(NotReady):
            await engine.search(queries_of(["裙"], 3), soon())
        with pytest.raises(NotReady):
            await engine.versions.reload()
        source.gate.set()
        await engine.versions.loaded()
        assert engine.ready


async def test_keeps_the_error_of_a_failed_load(source: TinySource) -> None:
    source.error = CorruptBundle("a file differs")
    async with entered(source) as engine:
        assert engine.versions.load_error is source.error
        assert not engine.ready


async def test_is_not_ready_while_draining_and_still_answers(source: TinySource) -> None:
    async with entered(source) as engine:
        engine.draining = True
        assert not engine.ready
        assert len(await engine.search(queries_of(["裙"], 3), soon())) == 1


async def test_reloads_between_batches_and_never_mixes_versions(source: TinySource) -> None:
    old, new = source.pipeline, TinyPipeline(TinyBundle("v2"), first_id=100)
    old.gate = threading.Event()
    async with entered(source, max_batch=2) as engine:
        searching = asyncio.create_task(engine.search(queries_of(["a", "b", "c", "d"], 1), soon()))
        assert await asyncio.to_thread(old.started.wait, 5)  # a and b run on the old version
        source.pipeline = new
        result = await engine.versions.reload()
        assert (result.previous, result.version, result.changed, new.warm) == (
            "v1",
            "v2",
            True,
            True,
        )
        old.gate.set()
        hits = await searching
    assert [result.index_version for result in hits] == ["v2"] * 4
    assert [result.item_ids for result in hits] == [(100,)] * 4
    assert old.batches == [["a", "b"]]


async def test_queries_without_a_caller_are_not_searched_after_encoding(
    source: TinySource,
) -> None:
    pipeline = source.pipeline
    pipeline.gate = threading.Event()
    async with entered(source) as engine:
        leaver = asyncio.create_task(engine.search(queries_of(["left"], 1), soon()))
        assert await asyncio.to_thread(pipeline.started.wait, 5)
        rest = [
            asyncio.create_task(engine.search(queries_of([query], 1), deadline))
            for query, deadline in (("late", soon(0.1)), ("stays", soon()))
        ]
        leaver.cancel()
        await asyncio.wait([leaver])
        with pytest.raises(DeadlineExceeded):
            await rest[0]
        pipeline.gate.set()
        assert len(await rest[1]) == 1
        pipeline.gate.clear()
        pipeline.started.clear()
        late = asyncio.create_task(engine.search(queries_of(["later"], 1), soon(0.1)))
        assert await asyncio.to_thread(pipeline.started.wait, 5)
        with pytest.raises(DeadlineExceeded):
            await late
        pipeline.gate.set()
    assert (pipeline.texts_received, pipeline.searched) == (["left", "stays", "later"], ["stays"])


async def test_a_reload_of_the_served_version_opens_nothing(source: TinySource) -> None:
    async with entered(source) as engine:
        result = await engine.versions.reload()
        assert (result.changed, result.version, source.opened) == (False, "v1", 1)


async def test_a_failed_reload_keeps_the_old_version(source: TinySource) -> None:
    async with entered(source) as engine:
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        source.error = CorruptBundle("a file differs")
        with pytest.raises(CorruptBundle):
            await engine.versions.reload()
        (hits,) = await engine.search(queries_of(["裙"], 3), soon())
        assert (hits.index_version, engine.ready) == ("v1", True)
        assert b'tusou_reloads_total{result="failed"} 1.0' in engine.metrics.expose()


async def test_a_batch_that_does_not_fit_the_memory_is_split(source: TinySource) -> None:
    source.pipeline.capacity = 2
    async with entered(source, max_batch=8) as engine:
        source.pipeline.released = 0
        hits = await engine.search(queries_of(["a", "b", "c", "d", "e"], 1), soon())
        assert [result.item_ids for result in hits] == [(0,)] * 5
        assert [len(batch) for batch in source.pipeline.batches] == [5, 2, 2, 1]
        source.pipeline.capacity = 0
        with pytest.raises(OutOfMemory):
            await engine.search(queries_of(["f"], 1), soon())
        assert (engine.ready, source.pipeline.released) == (True, 2)


async def test_a_bundle_that_does_not_fit_beside_the_old_version_is_refused(
    source: TinySource,
) -> None:
    async with entered(source) as engine:
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        source.error = RuntimeError("CUDA error: out of memory")
        with pytest.raises(InsufficientMemory):
            await engine.versions.reload()
        (hits,) = await engine.search(queries_of(["裙"], 3), soon())
        assert (hits.index_version, engine.ready) == ("v1", True)


@pytest.mark.parametrize(("text_seconds", "given_up"), [(0.0, True), (0.2, False)])
async def test_a_slow_model_is_not_mistaken_for_a_stall(
    source: TinySource, text_seconds: float, given_up: bool
) -> None:
    source.pipeline.gate = threading.Event()
    source.pipeline.text_seconds = text_seconds
    async with entered(source, stall_after=0.02) as engine:
        search = asyncio.create_task(engine.search(queries_of(["裙"], 1), soon()))
        await asyncio.sleep(0.1)
        source.pipeline.gate.set()
        assert await asyncio.gather(search, return_exceptions=True)
        assert (engine.worker_error is not None) is given_up


async def test_memory_is_released_after_the_last_batch_on_the_old_version() -> None:
    gate, started = threading.Event(), threading.Event()
    new = TinyPipeline(TinyBundle("v2"))
    source = TinySource(TinyPipeline(TinyBundle("v1"), gate=gate, started=started))
    async with entered(source) as engine:
        searching = asyncio.create_task(engine.search(queries_of(["裙"], 1), soon()))
        assert await asyncio.to_thread(started.wait, 5)
        source.pipeline = new
        await engine.versions.reload()
        assert new.released == 1  # what only loading needed
        gate.set()
        await searching
        while new.released < 2:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.001)


async def test_reloads_run_one_at_a_time(source: TinySource) -> None:
    async with entered(source) as engine:
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        results = await asyncio.gather(*(engine.versions.reload() for _ in range(5)))
        assert sorted(result.changed for result in results) == [False] * 4 + [True]
        assert source.opened == 2


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("CUDA error: device-side assert triggered", True),
        ("Faiss assertion 'err__ == cudaSuccess' failed: cudaError 700", True),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", False),
        ("CUDA error: out of memory", False),
        ("index out of range in self", False),
    ],
)
async def test_recognises_a_lost_device(source: TinySource, message: str, lost: bool) -> None:
    source.pipeline.error = RuntimeError(message)
    async with entered(source) as engine:
        with pytest.raises(NotReady if lost else (OutOfMemory, RuntimeError)):
            await engine.search(queries_of(["裙"], 3), soon())
        assert engine.ready is not lost
        assert (engine.worker_error is not None) is lost


async def test_images_come_from_the_bundle(source: TinySource) -> None:
    async with entered(source) as engine:
        assert engine.pipeline.bundle.image("7")[1] == "image/png"
        with pytest.raises(UnknownItem):
            engine.pipeline.bundle.image("007")


async def test_concurrent_callers_get_the_results_of_a_single_one(source: TinySource) -> None:
    async with entered(source, max_batch=8) as engine:

        async def search(k: int) -> list[Hits]:
            return await engine.search(queries_of(["裙"], k), soon())

        hits = await asyncio.gather(*(search(k) for k in range(1, 49)))
    assert [result[0].item_ids for result in hits] == [tuple(range(k)) for k in range(1, 49)]
