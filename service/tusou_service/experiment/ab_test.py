"""Two bundles behind one service: users are split between them, or the second is only compared."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.interfaces import Arm, Reloaded
from tusou_service.experiment.shadow import Shadow

_log = logging.getLogger(__name__)

ExperimentMode: TypeAlias = Literal["split", "shadow"]
ARM_HEADER, USER_HEADER = "x-arm", "x-user-key"


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """How two bundles are compared: the share of users, or of searches, that reach the second."""

    mode: ExperimentMode
    share: float
    name: str = ""

    def arm_of(self, headers: Mapping[str, str]) -> Arm:
        """Choose who answers: the arm that is named, or that of the user's key, or else a."""
        if self.mode == "shadow":
            return "a"
        named = headers.get(ARM_HEADER)
        if named in {"a", "b"}:
            return "b" if named == "b" else "a"
        key = headers.get(USER_HEADER)
        return "b" if key and self._in_share(key) else "a"

    def _in_share(self, key: str) -> bool:
        """Say the same of a key in every process; another trial's name draws users anew."""
        digest = hashlib.sha256(f"{self.name}\0{key}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * 2**64


class Experiment:
    """Runs the second engine beside the first, which is entered and left by its owner."""

    def __init__(self, first: SearchEngine, second: SearchEngine, plan: ExperimentPlan) -> None:
        self._first, self._second, self._plan = first, second, plan
        self._shadow: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._second.__aenter__()
        if self._plan.mode == "shadow":
            shadow = Shadow(self._first, self._second, self._plan.share)
            self._first.watcher = shadow.offer
            self._shadow = asyncio.create_task(shadow.work(), name="shadow")
        else:
            self._first.metrics.watch_ready(lambda: self.ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._first.watcher = None
        if self._shadow:
            self._shadow.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._shadow
        await self._second.__aexit__()

    @property
    def ready(self) -> bool:
        """Whether every arm that answers is ready."""
        return self._first.ready and (self._plan.mode == "shadow" or self._second.ready)

    @property
    def engines(self) -> tuple[SearchEngine, SearchEngine]:
        """Both, the first one first."""
        return self._first, self._second

    @property
    def vital(self) -> tuple[SearchEngine, ...]:
        """The engines without which this process cannot do its work."""
        return (self._first,) if self._plan.mode == "shadow" else (self._first, self._second)

    def engine_for(self, headers: Mapping[str, str]) -> SearchEngine:
        """Choose the engine of a request."""
        return self._second if self._plan.arm_of(headers) == "b" else self._first

    async def loaded(self) -> None:
        """Wait until the second engine's first load has ended."""
        await self._second.loaded()

    async def reload(self) -> tuple[Reloaded, Reloaded | None]:
        """Swap both to their current versions, or neither; in the shadow, each for itself.

        The second is None when it could not be loaded and nobody depends on it.
        """
        async with self._reloading:
            if self._plan.mode == "split":
                prepared = [await engine.prepare() for engine in self.vital]
                first, second = map(SearchEngine.commit, self.vital, prepared)
                return first, second
            done = await self._first.reload()
            try:
                return done, await self._second.reload()
            except Exception:  # noqa: BLE001 - logged and counted there, and nobody waits for it
                return done, None
