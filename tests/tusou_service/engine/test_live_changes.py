"""Live changes in the service: admission, order, and when they are compacted."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tusou_service.engine.compaction import max_changed_items
from tusou_service.engine.interfaces import LiveOptions
from tusou_service.engine.live_changes import LiveChanges
from tusou_service.engine.pending_changes import MAX_WAITING
from tusou_service.observability.metrics import Metrics

from benchmarks.vector_bundle import MODEL, unit_vectors, write_vector_bundle
from tests.tusou_service.tiny import TinyBundle, TinyPipeline
from tusou.attributes.filters import Filter, parse_filter
from tusou.bundle.bundle import Bundle, current_version
from tusou.core.arrays import Vectors
from tusou.core.errors import DeadlineExceeded, InvalidRequest, Overloaded
from tusou.live.live_items import LiveItems
from tusou.live.operations import Batch, Delete, Upsert

ITEMS = 1200
VECTORS = unit_vectors(ITEMS, 5)


class LivePipeline(TinyPipeline):
    """A small pipeline over a bundle with files."""

    def attach_live(self, live: LiveItems) -> None:
        self.live = live


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Publish 1,200 items with their number as an attribute."""
    names, contents = [f"{n}.jpg" for n in range(ITEMS)], [b"\xff\xd8\xff"] * ITEMS
    numbers = [{"n": n} for n in range(ITEMS)]
    write_vector_bundle(tmp_path / "b", names, VECTORS, contents, {"n": "integer"}, numbers)
    return tmp_path / "b"


@asynccontextmanager
async def changes_of(root: Path) -> AsyncIterator[LiveChanges]:
    async with LiveChanges(LiveOptions(root, 1 << 30), Metrics()) as changes:
        pipeline = LivePipeline(TinyBundle("v1"))
        pipeline.bundle = Bundle.open(root)  # type: ignore[assignment]
        changes.attach(pipeline, refuse)  # type: ignore[arg-type]
        yield changes


def refuse(_: object) -> Vectors:
    raise AssertionError("all items have vectors")


def until() -> float:
    return asyncio.get_running_loop().time() + 60


def below(number: int) -> Filter:
    return parse_filter({"n": {"$lt": number}})


def deletions(*numbers: int) -> list[Batch]:
    return [[Delete(f"{number}.jpg")] for number in numbers]


@asynccontextmanager
async def held(changes: LiveChanges) -> AsyncIterator[None]:
    """Let no write begin until the block ends; one that has been taken waits for its turn."""
    gate = threading.Event()
    changes._thread.submit(gate.wait)
    try:
        yield
    finally:
        gate.set()


async def test_a_deletion_by_filter_waits_and_is_refused_as_other_changes(root: Path) -> None:
    async with changes_of(root) as changes:
        async with held(changes):
            taken = asyncio.create_task(changes.apply(deletions(0), until()))
            await asyncio.sleep(0.01)  # the writer has it
            waiting = [Delete("1.jpg")] * MAX_WAITING
            full = asyncio.create_task(changes.apply([waiting], until()))
            await asyncio.sleep(0.01)
            with pytest.raises(Overloaded):
                await changes.delete_where(below(10), until())
        await asyncio.gather(taken, full)
        assert changes.snapshot
        assert changes.snapshot.item_count == ITEMS - 2
        assert await changes.delete_where(below(10), until()) == 8


async def test_a_deletion_by_filter_whose_caller_has_left_is_not_written(root: Path) -> None:
    async with changes_of(root) as changes:
        async with held(changes):
            taken = asyncio.create_task(changes.apply(deletions(500), until()))
            await asyncio.sleep(0.01)
            soon = asyncio.get_running_loop().time() + 0.05
            with pytest.raises(DeadlineExceeded):
                await changes.delete_where(below(10), soon)
        await taken
        await changes.apply(deletions(501), until())
        assert changes.snapshot
        assert changes.snapshot.item_count == ITEMS - 2


async def test_changes_are_written_in_the_order_of_their_arrival(root: Path) -> None:
    again = Upsert("3.jpg", b"\xff\xd8\xff", VECTORS[3], MODEL, {"n": 3})
    async with changes_of(root) as changes:
        async with held(changes):
            waiting = [
                asyncio.create_task(changes.apply(deletions(0, 1), until())),
                asyncio.create_task(changes.delete_where(below(10), until())),
                asyncio.create_task(changes.apply([[again]], until())),
                asyncio.create_task(changes.delete_where(below(4), until())),
            ]
            await asyncio.sleep(0.01)
        outcomes = await asyncio.gather(*waiting)
        assert outcomes[1::2] == [8, 1]
        assert [one[0].status for one in outcomes[2]] == ["created"]  # type: ignore[union-attr, index]


async def test_a_deletion_by_a_filter_that_does_not_fit_leaves_the_others_alone(
    root: Path,
) -> None:
    async with changes_of(root) as changes:
        with pytest.raises(InvalidRequest):
            await changes.delete_where(parse_filter({"colour": "red"}), until())
        assert await changes.delete_where(below(5), until()) == 5


def test_the_number_of_changed_items_is_bounded_by_a_share_and_absolutely() -> None:
    sizes = (300, 50_000, 1_000_000, 10_000_000)
    assert [max_changed_items(size) for size in sizes] == [1000, 5000, 10_000, 10_000]


@pytest.mark.services
@pytest.mark.parametrize("by_filter", [True, False])
async def test_many_removed_items_are_compacted(root: Path, by_filter: bool) -> None:
    before, compacted = current_version(root), asyncio.Event()

    async def reload() -> None:
        compacted.set()

    async def remove(first: int, last: int) -> None:
        if by_filter:
            assert await changes.delete_where(below(last), until()) == last - first
        else:
            await changes.apply(deletions(*range(first, last)), until())

    async with changes_of(root) as changes:
        changes.reload = reload
        await remove(0, 1000)
        assert changes._compactor._running is None
        await remove(1000, 1080)
        async with asyncio.timeout(60):
            await compacted.wait()
        assert current_version(root) != before
        assert Bundle.open(root).item_count == ITEMS - 1080


async def test_a_pool_without_items_is_not_compacted(root: Path) -> None:
    async with changes_of(root) as changes:
        assert await changes.delete_where(below(ITEMS), until()) == ITEMS
        assert changes._compactor._running is None
