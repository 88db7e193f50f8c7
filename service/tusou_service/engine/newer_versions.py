"""Changes to a version that a client has seen at another replica before this one serves it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tusou.core.errors import NotReady, StoreUnreachable
from tusou_service.engine.versions import BundleVersions

# Left of a request's time after waiting for a version, in seconds.
_ANSWER_SECONDS = 0.1
# A version that could not be loaded is not tried again by requests for this long, in seconds.
_RETRY_SECONDS = 10.0
_BEHIND = "This replica does not serve the version yet that the client has seen elsewhere."


class NewerVersions:
    """Keeps a client that sends its `index_version` from getting an older version.

    Which of two versions is newer is not in their names: CURRENT tells. If it names the version
    that the client has seen, that one is loaded now; if not, the client's version is an old one.
    `reload` changes to the current version; an experiment changes both of its bundles.
    """

    def __init__(self, versions: BundleVersions) -> None:
        self.reload: Callable[[], Awaitable[object]] = versions.reload
        self._versions = versions
        self._looking = asyncio.Lock()
        self._next_look: asyncio.Task[str | None] | None = None
        self._load: asyncio.Task[None] | None = None
        self._load_started = 0.0
        self._failed: tuple[str, float] | None = None  # a version, and when to try it again

    async def reach(self, index_version: str, deadline: float) -> None:
        """Return once the service answers from this version or a newer one.

        Raises NotReady if that takes longer than the deadline allows, by the event loop's clock,
        or fails: another replica may answer. It costs a look at CURRENT, which requests share.
        """
        requested = index_version.partition("+")[0]  # the rest is a position of live changes
        if requested == self._versions.version:
            return
        try:
            async with asyncio.timeout_at(deadline - _ANSWER_SECONDS):
                if await self._is_current(requested):
                    await self._change_to(requested, deadline)
        except TimeoutError:
            raise NotReady(_BEHIND) from None

    async def _is_current(self, requested: str) -> bool:
        # Not the look that is running: it may have begun before the version was published.
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look(), name="look-at-current")
        try:
            return await asyncio.shield(self._next_look) == requested
        except StoreUnreachable:
            if requested in self._versions.served_before:
                return False
            raise NotReady(_BEHIND) from None

    async def _look(self) -> str | None:
        async with self._looking:
            self._next_look = None
            return await self._versions.look()

    async def _change_to(self, requested: str, deadline: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._load is None or self._load.done():
            if self._failed and self._failed[0] == requested and now < self._failed[1]:
                raise NotReady(_BEHIND)
            self._load = asyncio.create_task(self._load_current(requested), name="newer-version")
            self._load_started = now
        if self._load_started + self._versions.load_seconds > deadline:
            raise NotReady(_BEHIND)  # at once, so that the client has time for another replica
        await asyncio.shield(self._load)
        if self._failed and self._failed[0] == requested:
            raise NotReady(_BEHIND)

    async def _load_current(self, requested: str) -> None:
        with contextlib.suppress(Exception):  # logged and counted by `prepare`
            await self.reload()
            self._failed = None
            return
        self._failed = requested, asyncio.get_running_loop().time() + _RETRY_SECONDS
