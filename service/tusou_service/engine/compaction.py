"""Compaction of live changes in a process of its own, when they have become many."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

from tusou.core.errors import TusouError
from tusou.live.snapshot import LiveSnapshot
from tusou_service.engine.interfaces import LiveOptions

_log = logging.getLogger(__name__)

# Added items are compared one by one, and removed ones widen the search of the index. Their share
# bounds what they add to an exact search, their number what they add to an approximate one: 10,000
# added items take 0.5 ms, and an approximate index of a million items takes 0.3 ms.
_MAX_SHARE = 0.1
_MIN_ITEMS, _MAX_ITEMS = 1000, 10_000
# Seconds before a compaction that has failed is tried again.
_RETRY_SECONDS = 300.0
_SHOWN_CHARS = 300


class Compactor:
    """Runs `tusou compact` on a bundle beside the service, then changes to the new version.

    Searches and changes go on meanwhile. A compaction that fails leaves everything as it is.
    """

    def __init__(self, options: LiveOptions, reload: Callable[[], Awaitable[object]]) -> None:
        self._root, self._max_log_bytes = options.root, options.max_log_bytes
        self._reload = reload
        self._not_before = 0.0
        self._running: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """End a compaction that is running; the version before stays."""
        if self._running:
            self._running.cancel()
            await asyncio.wait([self._running])

    def check(self, snapshot: LiveSnapshot, log_bytes: int) -> None:
        """Start a compaction if the log is long or changed items are many, unless one runs."""
        changed = max(len(snapshot.live_keys), snapshot.removed_count)
        if log_bytes <= self._max_log_bytes and changed <= max_changed_items(snapshot.version_size):
            return
        if not snapshot.item_count:  # a version holds one item at least
            return
        is_running = self._running is not None and not self._running.done()
        if is_running or asyncio.get_running_loop().time() < self._not_before:
            return
        _log.info("compacting", extra={"fields": {"log_bytes": log_bytes}})
        self._running = asyncio.create_task(self._compact(), name="compaction")

    async def _compact(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tusou", "compact", str(self._root)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, message = await process.communicate()
        except asyncio.CancelledError:  # the service stops
            process.terminate()
            await process.wait()
            raise
        if process.returncode == 0:
            try:
                await self._reload()
            except TusouError:  # logged and counted by `BundleVersions`
                message = b"the version was written, and could not be loaded"
            else:
                return
        self._not_before = asyncio.get_running_loop().time() + _RETRY_SECONDS
        reason = message.decode(errors="replace").strip()[-_SHOWN_CHARS:]
        _log.warning("the compaction failed: %s", reason)


def max_changed_items(version_size: int) -> int:
    """Return how many items may be added or removed over a version before it is compacted."""
    return min(max(_MIN_ITEMS, int(_MAX_SHARE * version_size)), _MAX_ITEMS)
