"""Long lists are encoded in turns, and are the JSON that the whole model is."""

import asyncio
import time
from collections.abc import Iterator

from tusou_service.http.list_responses import list_response
from tusou_service.http.schemas import BatchResponse, SearchResult

RESULTS = [
    SearchResult(item_ids=(n, n + 1), scores=(0.5, 1e-7), truncated=bool(n % 2)) for n in range(30)
]
FIELDS = {"index_version": 'v"results":[]', "took_ms": 1.5}


async def test_the_json_is_that_of_the_whole_model() -> None:
    for results in (RESULTS, RESULTS[:1], []):
        response = await list_response(BatchResponse(results=(), **FIELDS), "results", results)
        whole = BatchResponse(results=tuple(results), **FIELDS)
        assert response.body == whole.model_dump_json(exclude_none=True).encode()
        assert response.headers["content-type"] == "application/json"


async def test_other_requests_get_a_turn_between_items() -> None:
    turns: list[int] = []
    made: list[int] = []

    def slow_items() -> Iterator[SearchResult]:
        for number, result in enumerate(RESULTS):
            time.sleep(0.003)
            made.append(number)
            yield result

    async def other_requests() -> None:
        while len(made) < len(RESULTS):
            turns.append(len(made))
            await asyncio.sleep(0)

    other = asyncio.create_task(other_requests())
    await list_response(BatchResponse(results=(), **FIELDS), "results", slow_items())
    await other
    assert turns == list(range(1, len(RESULTS)))
