"""Shadow traffic: sends answered searches to a second bundle and compares the results."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Sequence

from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.query import Query
from tusou_service.engine.engine import SearchEngine

_log = logging.getLogger(__name__)

_MAX_WAITING = 64  # searches, of at most 256 queries each
_SEARCH_SECONDS = 10.0
# Seconds between checks for an idle first engine, which never waits for the shadow.
_POLL_SECONDS = 0.002


class ShadowTraffic:
    """Repeats a random share of the first engine's searches on the second, while the first idles.

    Clients are not affected: searches that come too fast are dropped, and errors are counted. Its
    threads run at normal priority: a thread that the system holds back could hold Python's lock.
    """

    def __init__(self, first: SearchEngine, second: SearchEngine, share: float) -> None:
        self._first, self._second, self._share = first, second, share
        self._waiting: deque[tuple[Sequence[Query], Sequence[Hits]]] = deque()
        self._arrived = asyncio.Event()

    def offer(self, queries: Sequence[Query], results: Sequence[Hits]) -> None:
        """Enqueue an answered search, if it is drawn and the queue is not full; never blocks."""
        if random.random() >= self._share:  # noqa: S311 - no secret
            return
        if len(self._waiting) >= _MAX_WAITING or not self._second.ready:
            self._count("dropped", queries)
            return
        self._waiting.append((queries, results))
        self._arrived.set()

    async def run(self) -> None:
        """Compare the enqueued searches one at a time, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                while not self._first.idle:  # noqa: ASYNC110 - the engine has no event for this
                    await asyncio.sleep(_POLL_SECONDS)
                await self._repeat(*self._waiting.popleft())

    async def _repeat(self, queries: Sequence[Query], results: Sequence[Hits]) -> None:
        deadline = asyncio.get_running_loop().time() + _SEARCH_SECONDS
        try:
            self._compare(results, await self._second.search(queries, deadline))
        except TusouError:  # for example an item that this bundle does not have
            self._count("unanswered", queries)
        except Exception as error:  # noqa: BLE001 - a bug in the shadow must not end the task
            self._count("failed", queries)
            _log.warning("shadow failed: %s", error)
        else:
            self._count("compared", queries)

    def _compare(self, first: Sequence[Hits], second: Sequence[Hits]) -> None:
        pairs = list(zip(first, second, strict=True))
        overlaps = [overlap(a, b) for a, b in pairs]
        for share in overlaps:
            self._second.metrics.shadow_overlap.observe(share)
        fields = {
            "index_version": first[0].index_version,
            "shadow_version": second[0].index_version,
            "overlap": [round(share, 4) for share in overlaps],
            "same_first": [_first_id(a) == _first_id(b) for a, b in pairs],
        }
        _log.info("shadow", extra={"fields": fields})

    def _count(self, result: str, queries: Sequence[Query]) -> None:
        self._second.metrics.shadowed.labels(result).inc(len(queries))


def overlap(first: Hits, second: Hits) -> float:
    """Return the items in both results, as a share of the longer one; 1 if both are empty."""
    a, b = ({str(item) for item in hits.item_ids} for hits in (first, second))
    longest = max(len(a), len(b))
    return len(a & b) / longest if longest else 1.0


def _first_id(hits: Hits) -> str:
    return str(hits.item_ids[0]) if hits.item_ids else ""
