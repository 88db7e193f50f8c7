"""Functions that send one call with the blocking or the async client."""

import asyncio
from collections.abc import Callable
from typing import Any

from tusou_client import AsyncClient, Client, RetryPolicy

FAST = RetryPolicy(timeout=5.0, base=0.001)
Send = Callable[..., Any]


def send_blocking(url: str, method: str, *args: object, **settings: Any) -> Any:
    with Client(url, **{"policy": FAST} | settings) as client:
        return getattr(client, method)(*args)


def send_async(url: str, method: str, *args: object, **settings: Any) -> Any:
    async def send() -> Any:
        async with AsyncClient(url, **{"policy": FAST} | settings) as client:
            return await getattr(client, method)(*args)

    return asyncio.run(send())
