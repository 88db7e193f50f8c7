"""Following CURRENT: one bundle, two bundles of an experiment, and versions that fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tusou_service.engine.versions import VersionFollower
from tusou_service.settings import Settings

from tests.tusou_service.tiny import TinyBundle, TinyPipeline, TinySource, make_parts
from tusou.core.errors import CorruptBundle, StoreUnreachable


@pytest.fixture
def other() -> TinySource:
    return TinySource(TinyPipeline(TinyBundle("w1")))


class Following:
    """An engine, or two, that follow their sources."""

    def __init__(self, period: float, *sources: TinySource) -> None:
        settings = Settings(follow_s=period)
        self._sources = sources
        self._parts = make_parts(settings, *sources)
        experiment = self._parts.experiment
        self._engines = experiment.engines if experiment else (self._parts.engine,)
        reload = experiment.reload if experiment else self._parts.engine.versions.reload
        self.follower = VersionFollower(
            [engine.versions for engine in self._engines], reload, period
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Following"]:
        async with self._parts.running(), self.follower:
            for engine in self._engines:
                await engine.versions.loaded()
            yield self

    @property
    def served(self) -> list[str | None]:
        return [engine.versions.version for engine in self._engines]

    @property
    def failed(self) -> float:
        lines = self._parts.engine.metrics.expose().decode().splitlines()
        counts = [line for line in lines if line.startswith('tusou_reloads_total{result="failed"}')]
        return float(counts[0].rpartition(" ")[2]) if counts else 0

    async def until_failed(self, times: int) -> None:
        while self.failed < times:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)

    async def until(self, *versions: str) -> None:
        while self.served != [*versions]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)


async def test_changes_when_current_does(source: TinySource) -> None:
    async with Following(0.01, source).running() as following:
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        await following.until("v2")
        opened = source.opened
        await asyncio.sleep(0.1)  # ten periods
        assert (opened, source.opened) == (2, 2)


async def test_period_0_waits_for_a_notice(source: TinySource) -> None:
    async with Following(0, source).running() as following:
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        await asyncio.sleep(0.05)
        assert following.served == ["v1"]
        following.follower.notify()
        await following.until("v2")


async def test_a_notice_during_the_first_load_is_not_lost(source: TinySource) -> None:
    following = Following(0, source)
    following.follower.notify()
    async with following.running():
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        await following.until("v2")


async def test_a_version_that_fails_is_tried_once(
    source: TinySource, caplog: pytest.LogCaptureFixture
) -> None:
    async with Following(0.01, source).running() as following:
        first = source.pipeline
        source.pipeline, source.error = TinyPipeline(TinyBundle("v2")), CorruptBundle("differs")
        await following.until_failed(1)
        await asyncio.sleep(0.1)  # ten periods
        assert (following.failed, following.served) == (1, ["v1"])
        assert caplog.text.count("reload failed: differs") == 1
        following.follower.notify()  # tries again
        await following.until_failed(2)
        source.pipeline = first  # CURRENT goes back, and forward again
        await asyncio.sleep(0.1)
        source.pipeline, source.error = TinyPipeline(TinyBundle("v2")), None
        await following.until("v2")
        assert following.failed == 2


async def test_a_version_whose_store_was_unreachable_is_tried_again(source: TinySource) -> None:
    async with Following(0.01, source).running() as following:
        source.pipeline, source.error = TinyPipeline(TinyBundle("v2")), StoreUnreachable()
        await following.until_failed(3)
        assert following.served == ["v1"]
        source.error = None
        await following.until("v2")


async def test_both_bundles_of_a_split_change_or_neither(
    source: TinySource, other: TinySource
) -> None:
    async with Following(0.01, source, other).running() as following:
        source.pipeline = TinyPipeline(TinyBundle("v2"))
        other.pipeline, other.error = TinyPipeline(TinyBundle("w2")), CorruptBundle("differs")
        await following.until_failed(1)
        await asyncio.sleep(0.1)  # ten periods
        assert (following.failed, following.served) == (1, ["v1", "w1"])
        other.pipeline, other.error = TinyPipeline(TinyBundle("w3")), None
        await following.until("v2", "w3")
