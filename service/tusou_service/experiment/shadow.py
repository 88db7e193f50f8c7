"""A second bundle asked the same queries, out of everyone's way, and how its answers compare."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Sequence

from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.query import Query
from tusou_service.engine.batch_runner import Found
from tusou_service.engine.engine import SearchEngine

_log = logging.getLogger(__name__)

_MAX_WAITING = 64  # searches; a search holds at most 256 queries
_ANSWER_SECONDS = 10.0
# How often to look whether the first bundle rests; it is never asked to wait.
_LOOK_SECONDS = 0.002


class Shadow:
    """Asks the second engine what the first has answered, whenever the first has nothing to do.

    Nothing that happens here reaches a caller: what comes too fast is dropped, what fails is
    counted. Of the searches it takes this share, at random. Its threads are no less urgent than
    the first engine's: one that the system puts off would keep Python's lock from all others.
    """

    def __init__(self, first: SearchEngine, second: SearchEngine, share: float) -> None:
        self._first, self._second, self._share = first, second, share
        self._waiting: deque[tuple[Sequence[Query], Sequence[Found]]] = deque()
        self._arrived = asyncio.Event()

    def offer(self, asks: Sequence[Query], found: Sequence[Found]) -> None:
        """Take one answered search, if there is room; returns at once."""
        if random.random() >= self._share:  # noqa: S311 - no secret
            return
        if len(self._waiting) >= _MAX_WAITING or not self._second.ready:
            self._count("dropped", asks)
            return
        self._waiting.append((asks, found))
        self._arrived.set()

    async def work(self) -> None:
        """Compare what was offered, one search at a time, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                while not self._first.idle:  # noqa: ASYNC110 - its batches tell nobody their end
                    await asyncio.sleep(_LOOK_SECONDS)
                await self._ask(*self._waiting.popleft())

    async def _ask(self, asks: Sequence[Query], found: Sequence[Found]) -> None:
        deadline = asyncio.get_running_loop().time() + _ANSWER_SECONDS
        try:
            self._compare(found, await self._second.search(asks, deadline))
        except TusouError:  # such as an item that this bundle does not hold
            self._count("unanswered", asks)
        except Exception as error:  # noqa: BLE001 - a failure in the shadow is nobody's but ours
            self._count("failed", asks)
            _log.warning("shadow failed: %s", error)
        else:
            self._count("compared", asks)

    def _compare(self, found: Sequence[Found], theirs: Sequence[Found]) -> None:
        pairs = [(ours.hits, other.hits) for ours, other in zip(found, theirs, strict=True)]
        overlaps = [overlap(ours, other) for ours, other in pairs]
        for one in overlaps:
            self._second.metrics.shadow_overlap.observe(one)
        fields = {
            "index_version": found[0].version,
            "shadow_version": theirs[0].version,
            "overlap": [round(one, 4) for one in overlaps],
            "same_first": [_first(ours) == _first(other) for ours, other in pairs],
        }
        _log.info("shadow", extra={"fields": fields})

    def _count(self, result: str, asks: Sequence[Query]) -> None:
        self._second.metrics.shadowed.labels(result).inc(len(asks))


def overlap(ours: Hits, theirs: Hits) -> float:
    """Return the share of the longer answer that both hold; 1 for two empty ones."""
    first, second = ({str(item) for item in hits.item_ids} for hits in (ours, theirs))
    longest = max(len(first), len(second))
    return len(first & second) / longest if longest else 1.0


def _first(hits: Hits) -> str:
    return str(hits.item_ids[0]) if hits.item_ids else ""
