"""Reranking beside the batches, in threads of its own and within a time limit."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar
from weakref import WeakKeyDictionary

from tusou.core.hits import Hits
from tusou.retrieval.rerank_candidates import RerankCandidates
from tusou.stages.base import Reranker
from tusou.stages.reranking import Reranking
from tusou_service.engine.interfaces import Arm
from tusou_service.observability.metrics import Metrics
from tusou_service.observability.stages import RECORDER

T = TypeVar("T")

_MAX_THREADS = 32  # a thread is started when a reranker first needs it
_RESERVED_SECONDS = 0.02  # of a request's time limit, for what follows


class RerankRunner:
    """Finishes the queries of a call whose hits are to be reranked.

    A call waits for its reranker until the reranker's time limit, counted once for each of its
    queries, and then takes the scores that are ready: other calls are never delayed, because
    batches go on meanwhile.
    """

    def __init__(self, metrics: Metrics, arm: Arm) -> None:
        self._metrics, self._arm = metrics, arm
        self._threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="rerank")
        self._free: WeakKeyDictionary[Reranker, asyncio.Semaphore] = WeakKeyDictionary()

    def close(self) -> None:
        """Start no further thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def finish(
        self, outcomes: Sequence[T | RerankCandidates], deadline: float
    ) -> list[T | Hits]:
        """Return the outcomes with hits in place of candidates; `deadline` is the request's."""
        waiting = [outcome for outcome in outcomes if isinstance(outcome, RerankCandidates)]
        if not waiting:
            return [outcome for outcome in outcomes if not isinstance(outcome, RerankCandidates)]
        started = perf_counter()
        limit = sum(candidates.reranker.seconds for candidates in waiting)
        now = asyncio.get_running_loop().time()
        until = min(deadline - _RESERVED_SECONDS, now + limit)
        pages = iter(await asyncio.gather(*(self._page(each, until) for each in waiting)))
        if recorder := RECORDER.get():
            recorder.record("rerank", started)
        return [next(pages) if isinstance(each, RerankCandidates) else each for each in outcomes]

    async def _page(self, candidates: RerankCandidates, until: float) -> Hits:
        reranking = Reranking(candidates.task)
        try:
            async with asyncio.timeout_at(until):
                await self._run(reranking, candidates.reranker, until)
        except TimeoutError:
            pass
        finally:
            reranking.stopped = True
        hits = candidates.page(reranking)
        self._metrics.reranks.labels(self._arm, hits.rerank).inc()
        return hits

    async def _run(self, reranking: Reranking, reranker: Reranker, until: float) -> None:
        free = self._free.get(reranker)
        if free is None:
            free = self._free[reranker] = asyncio.Semaphore(reranker.threads)
        await free.acquire()
        loop = asyncio.get_running_loop()

        def run() -> None:
            started = perf_counter()
            try:
                reranking.run(reranker, until)
            finally:
                # The thread may go on for a while after its caller: it is free only now.
                loop.call_soon_threadsafe(free.release)
            seconds = self._metrics.stage_seconds.labels(self._arm, "rerank")
            seconds.observe(perf_counter() - started)

        try:
            running = loop.run_in_executor(self._threads, run)
        except RuntimeError:  # closed
            free.release()
            return
        await asyncio.shield(running)
