"""JSON responses with a long list, built while the event loop serves other requests."""

import asyncio
from collections.abc import Iterable
from time import perf_counter

from fastapi import Response
from pydantic import BaseModel

# Seconds of work after which other requests get a turn.
_TURN_SECONDS = 0.002


async def list_response(outer: BaseModel, field: str, items: Iterable[BaseModel]) -> Response:
    """Return a model as JSON, with the items in its list `field`, which is empty; without nulls.

    The items are made and encoded one after the other. A thread would not help: the encoder holds
    Python's lock for as long as it runs.
    """
    parts: list[bytes] = []
    turn_ends = perf_counter() + _TURN_SECONDS
    for item in items:
        parts.append(_encode(item))
        if perf_counter() > turn_ends:
            await asyncio.sleep(0)
            turn_ends = perf_counter() + _TURN_SECONDS
    # No string holds these bytes: its quotes are escaped.
    before, empty, after = _encode(outer).partition(f'"{field}":[]'.encode())
    assert empty
    content = b"".join([before, empty[:-1], b",".join(parts), b"]", after])
    return Response(content, media_type="application/json")


def _encode(model: BaseModel) -> bytes:
    return model.model_dump_json(exclude_none=True).encode()
