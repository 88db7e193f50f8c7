"""How seldom Python looks for garbage while requests are answered.

Nothing else runs during a round, and one through everything that the libraries have made is long.
What a request leaves behind goes mostly without a round: few of its objects hold each other.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tusou_service.engine.engine import SearchEngine

# Objects made and not yet gone before a round through the youngest; Python's own is 700.
_YOUNG = 2_000


def settle() -> None:
    """Leave what there is by now out of every round, and make rounds rare."""
    gc.freeze()
    gc.set_threshold(_YOUNG)


@asynccontextmanager
async def settled(engine: SearchEngine) -> AsyncIterator[SearchEngine]:
    """Enter an engine, and settle once it is loaded."""

    async def wait() -> None:
        await engine.loaded()
        settle()

    async with engine:
        waiting = asyncio.create_task(wait())
        try:
            yield engine
        finally:
            waiting.cancel()
