"""Reranking in the service: beside the batches, within a time limit, counted."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.micro_batcher import BatchLimits

from tests.rerankers import ChosenScores
from tests.tusou_service.engine.test_engine import queries_of, soon
from tests.tusou_service.tiny import TinyPipeline, TinySource
from tusou.core.hits import Hits
from tusou.retrieval.query import Query
from tusou.retrieval.rerank_candidates import RerankCandidates, rerank_task
from tusou.retrieval.results import RetrievedBatch


class Reranked(TinyPipeline):
    """Leaves its hits to a reranker."""

    reranker: ChosenScores

    def retrieve(
        self, queries: Sequence[Query], still_waiting: Callable[[int], bool]
    ) -> RetrievedBatch:
        found = super().retrieve(queries, still_waiting)
        outcomes = [
            self._candidates(query, hits) if isinstance(hits, Hits) and query.rerank else hits
            for query, hits in zip(queries, found.outcomes, strict=True)
        ]
        return RetrievedBatch(tuple(outcomes), found.times)

    def _candidates(self, query: Query, hits: Hits) -> RerankCandidates:
        keys = list(map(int, hits.item_ids))
        items: object = self
        task = rerank_task(query, np.ones(3, np.float32), hits, keys, items, self.reranker.depth)  # type: ignore[arg-type]
        return RerankCandidates(query, hits, task, self.reranker)


@asynccontextmanager
async def reranking(source: TinySource, reranker: ChosenScores) -> AsyncIterator[SearchEngine]:
    pipeline = Reranked(source.pipeline.bundle)
    pipeline.reranker = reranker
    source.pipeline = pipeline
    async with SearchEngine(source, BatchLimits(4, 64, 20)) as engine:
        await engine.versions.loaded()
        yield engine


def outcomes(engine: SearchEngine) -> dict[str, float]:
    lines = engine.metrics.expose().decode().splitlines()
    prefix = 'tusou_reranks_total{arm="a",outcome="'
    counted = (line.removeprefix(prefix).split('"} ') for line in lines if line.startswith(prefix))
    return {name: float(count) for name, count in counted}


async def test_hits_come_in_the_order_of_the_reranker(source: TinySource) -> None:
    async with reranking(source, ChosenScores(float)) as engine:
        plain = Query(queries_of(["裙"], 3)[0].parts, 3, rerank=False)
        ranked, left = await engine.search([*queries_of(["裙"], 3), plain], soon())
        assert (ranked.item_ids, ranked.rerank) == ((2, 1, 0), "complete")
        assert (left.item_ids, left.rerank) == ((0, 1, 2), None)
        each = await engine.search_each(queries_of(["裙", "鞋"], 2), soon())
        assert [hits.item_ids for hits in each if isinstance(hits, Hits)] == [(1, 0), (1, 0)]
        assert outcomes(engine) == {"complete": 3}


async def test_what_is_not_scored_in_time_keeps_its_place(source: TinySource) -> None:
    gate, parts = threading.Event(), iter(range(1000))

    def wait_at_the_second() -> None:
        if next(parts):
            gate.wait(20)

    reranker = ChosenScores(float, part=2, before_part=wait_at_the_second, seconds=0.1)
    async with reranking(source, reranker) as engine:
        (hits,) = await engine.search(queries_of(["裙"], 6), soon())
        assert (hits.item_ids, hits.rerank) == ((1, 0, 2, 3, 4, 5), "partial")
        # The thread still computes: the next query gets none, and does not wait longer than that.
        (later,) = await engine.search(queries_of(["裙"], 6), soon())
        assert (later.item_ids, later.rerank) == (tuple(range(6)), "partial")
        gate.set()
        reranker.seconds = 20
        (again,) = await engine.search(queries_of(["裙"], 6), soon())
        assert (again.item_ids, again.rerank) == ((5, 4, 3, 2, 1, 0), "complete")
        assert outcomes(engine) == {"partial": 2, "complete": 1}


async def test_searches_without_a_reranking_do_not_wait_for_one(source: TinySource) -> None:
    gate = threading.Event()
    reranker = ChosenScores(float, before_part=lambda: gate.wait(20), seconds=15)
    async with reranking(source, reranker) as engine:
        slow = asyncio.create_task(engine.search(queries_of(["裙"], 3), soon()))
        while not reranker.tasks:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.001)
        plain = Query(queries_of(["裙"], 3)[0].parts, 3, rerank=False)
        assert len(await engine.search([plain], soon())) == 1
        assert not slow.done()
        gate.set()
        assert (await slow)[0].rerank == "complete"


async def test_the_time_limit_of_the_request_holds(source: TinySource) -> None:
    gate = threading.Event()
    reranker = ChosenScores(float, before_part=lambda: gate.wait(20), seconds=15)
    async with reranking(source, reranker) as engine:
        started = asyncio.get_running_loop().time()
        (hits,) = await engine.search(queries_of(["裙"], 3), started + 1)
        assert hits.rerank == "partial"
        assert asyncio.get_running_loop().time() - started < 10
        gate.set()


async def test_a_failing_reranker_is_counted_and_the_ranking_is_returned(
    source: TinySource,
) -> None:
    def fail() -> None:
        raise ConnectionError("away")

    async with reranking(source, ChosenScores(float, before_part=fail)) as engine:
        (hits,) = await engine.search(queries_of(["裙"], 3), soon())
        assert (hits.item_ids, hits.rerank) == ((0, 1, 2), "failed")
        assert outcomes(engine) == {"failed": 1}
        assert engine.ready


async def test_as_many_calls_run_at_once_as_the_reranker_takes(source: TinySource) -> None:
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=20)

    def count() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    reranker = ChosenScores(float, part=100, before_part=count, threads=2, seconds=20)
    async with reranking(source, reranker) as engine:
        hits = await engine.search(queries_of(["裙"] * 4, 3), soon())
        assert [each.rerank for each in hits] == ["complete"] * 4
        assert most == 2
