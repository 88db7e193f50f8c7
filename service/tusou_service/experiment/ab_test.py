"""A/B tests: two bundles behind one service, for different users or one as the other's shadow."""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from tusou.core.errors import TusouError
from tusou_service.engine.engine import SearchEngine
from tusou_service.engine.interfaces import Arm, ReloadResult
from tusou_service.experiment.shadow import ShadowTraffic

ExperimentMode: TypeAlias = Literal["split", "shadow"]
ARM_HEADER, USER_HEADER = "x-arm", "x-user-key"


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """The comparison of two bundles: the share of users, or of searches, that reach the second."""

    mode: ExperimentMode
    share: float
    name: str = ""

    def named_arm(self, headers: Mapping[str, str]) -> Arm | None:
        """Return the arm that the headers name; none in the shadow, where only a answers."""
        named = headers.get(ARM_HEADER)
        if self.mode == "shadow" or named not in {"a", "b"}:
            return None
        return "b" if named == "b" else "a"

    def arm_of(self, headers: Mapping[str, str]) -> Arm:
        """Return the arm that the headers name, else the arm of the user's key, else a."""
        if named := self.named_arm(headers):
            return named
        if self.mode == "shadow":
            return "a"
        key = headers.get(USER_HEADER)
        return "b" if key and self._in_share(key) else "a"

    def _in_share(self, key: str) -> bool:
        """Return whether a key belongs to arm b: the same in every process with this name."""
        digest = hashlib.sha256(f"{self.name}\0{key}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * 2**64


class Experiment:
    """Runs a second engine beside the first, which its owner enters and leaves."""

    def __init__(self, first: SearchEngine, second: SearchEngine, plan: ExperimentPlan) -> None:
        self._first, self._second, self._plan = first, second, plan
        self._shadow: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._second.__aenter__()
        if self._plan.mode == "shadow":
            shadow = ShadowTraffic(self._first, self._second, self._plan.share)
            self._first.on_searched = shadow.offer
            self._shadow = asyncio.create_task(shadow.run(), name="shadow")
        else:
            self._first.metrics.is_ready = lambda: self.ready
        return self

    async def __aexit__(self, *_: object) -> None:
        self._first.on_searched = None
        if self._shadow:
            self._shadow.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._shadow
        await self._second.__aexit__()

    @property
    def ready(self) -> bool:
        """Return whether every arm that answers clients is ready."""
        return self._first.ready and (self._plan.mode == "shadow" or self._second.ready)

    @property
    def engines(self) -> tuple[SearchEngine, SearchEngine]:
        """Both engines, the first of them arm a."""
        return self._first, self._second

    @property
    def vital(self) -> tuple[SearchEngine, ...]:
        """The engines whose failure ends the process: not the shadow's."""
        return (self._first,) if self._plan.mode == "shadow" else self.engines

    def engines_for(self, headers: Mapping[str, str]) -> tuple[SearchEngine, ...]:
        """Return the engines that may answer a request: that of its arm first.

        A request that names its arm gets no other.
        """
        chosen = self._second if self._plan.arm_of(headers) == "b" else self._first
        others = () if self._plan.named_arm(headers) else self.vital
        return chosen, *(engine for engine in others if engine is not chosen)

    async def reload(self) -> tuple[ReloadResult, ReloadResult | None]:
        """Change both engines to their current versions, or neither; shadow: each on its own.

        The second result is None if the shadow's bundle could not be loaded.
        """
        async with self._reloading:
            if self._plan.mode == "split":
                both = [engine.versions for engine in self.engines]
                prepared = [await versions.prepare() for versions in both]
                first, second = (
                    versions.commit(version)
                    for versions, version in zip(both, prepared, strict=True)
                )
                return first, second
            result = await self._first.versions.reload()
            try:
                return result, await self._second.versions.reload()
            except (TusouError, OSError, RuntimeError, MemoryError):  # logged and counted
                return result, None
