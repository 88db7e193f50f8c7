"""JSON responses with a long list, built while the event loop serves other requests."""

import asyncio
from collections.abc import Iterable
from time import perf_counter

from fastapi import Response
from pydantic import BaseModel

# Seconds of work before other requests run.
_TURN_SECONDS = 0.002


async def list_response(outer: BaseModel, field: str, items: Iterable[BaseModel]) -> Response:
    """Return a model as JSON without nulls, with `items` in its list `field`, which must be empty.

    The items are generated and encoded one by one. A thread would not help, because the encoder
    holds the GIL while it runs.
    """
    parts: list[bytes] = []
    turn_ends = perf_counter() + _TURN_SECONDS
    for item in items:
        parts.append(_encode(item))
        if perf_counter() > turn_ends:
            await asyncio.sleep(0)
            turn_ends = perf_counter() + _TURN_SECONDS
    # No string can contain these bytes, because quotes are escaped.
    before, empty, after = _encode(outer).partition(f'"{field}":[]'.encode())
    assert empty
    content = b"".join([before, empty[:-1], b",".join(parts), b"]", after])
    return Response(content, media_type="application/json")


def _encode(model: BaseModel) -> bytes:
    return model.model_dump_json(exclude_none=True).encode()
