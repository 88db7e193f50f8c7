"""A line between two processes, here with both ends in one."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from tusou_service.engine.micro_batcher import QueueFull
from tusou_service.fronts.line import Answerer, Line, RemoteBug
from tusou_service.http.errors import problem_response
from tusou_service.http.rate_limit import RateLimitExceeded
from tusou_service.observability.stages import StageTiming, follow, mark

from tusou.core.errors import (
    DeadlineExceeded,
    ErrorDetail,
    InvalidRequest,
    NotReady,
    TusouError,
    UnknownItem,
)


@asynccontextmanager
async def line_to(answers: Mapping[str, Answerer]) -> AsyncIterator[tuple[Line, Line]]:
    """Yield the end that calls and the end that answers."""
    ours, theirs = socket.socketpair()
    caller, answerer = Line({}), Line(answers)
    await caller.open(ours)
    await answerer.open(theirs)
    try:
        yield caller, answerer
    finally:
        for line in (caller, answerer):
            line.close()
            await line.lost.wait()


async def test_many_calls_at_once_get_their_own_answers() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0.001 * (number % 3))
        return number * 2

    async with line_to({"double": double}) as (caller, _):
        numbers = range(300)
        assert await asyncio.gather(*(caller.call("double", n) for n in numbers)) == [
            2 * n for n in numbers
        ]


async def test_what_is_larger_than_any_buffer_crosses() -> None:
    async def reverse(data: bytes) -> bytes:
        return data[::-1]

    data = bytes(range(256)) * 2**15  # 8 MiB
    async with line_to({"reverse": reverse}) as (caller, _):
        assert await caller.call("reverse", data) == data[::-1]


async def test_what_cannot_cross_keeps_nothing_else_from_crossing() -> None:
    async def answer(number: int) -> object:
        return number if number else threading.Lock()

    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what["exception"]))
    async with line_to({"answer": answer}) as (caller, _):
        stuck = asyncio.create_task(caller.call("answer", 0))
        while not said:  # noqa: ASYNC110 - the loop's handler is no event
            await asyncio.sleep(0.001)
        assert await caller.call("answer", 7) == 7
        stuck.cancel()
    assert [type(one) for one in said] == [TypeError]


@pytest.mark.parametrize(
    "error",
    [
        QueueFull("The service is at capacity.", 0.25),
        RateLimitExceeded(3.5),
        DeadlineExceeded("late"),
        UnknownItem("no such item"),
        InvalidRequest(details=[ErrorDetail(("body", "image"), "bad_image", "said")]),
    ],
)
async def test_an_error_of_ours_arrives_as_it_was_raised(error: Exception) -> None:
    async def fail() -> None:
        raise error

    async with line_to({"fail": fail}) as (caller, _):
        with pytest.raises(type(error)) as told:
            await caller.call("fail")
    assert str(told.value) == str(error)
    assert isinstance(error, TusouError)
    assert isinstance(told.value, type(error))
    if not isinstance(error, QueueFull | RateLimitExceeded):
        assert problem_response(told.value, "id").body == problem_response(error, "id").body
    else:
        assert isinstance(told.value, QueueFull | RateLimitExceeded)
        assert told.value.retry_after == error.retry_after


async def test_a_bug_arrives_with_its_traceback() -> None:
    async def fail() -> None:
        raise ZeroDivisionError("a bug")

    async with line_to({"fail": fail}) as (caller, _):
        with pytest.raises(RemoteBug, match=r"(?s)in fail.*ZeroDivisionError: a bug"):
            await caller.call("fail")


async def test_a_call_that_is_cancelled_here_is_cancelled_there() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with line_to({"wait": wait}) as (caller, _):
        call = asyncio.create_task(caller.call("wait"))
        await began.wait()
        call.cancel()
        await cancelled.wait()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_lost_line_fails_who_waits_and_drops_what_is_done_for_it() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with line_to({"wait": wait}) as (caller, answerer):
        call = asyncio.create_task(caller.call("wait"))
        await began.wait()
        answerer.close()
        with pytest.raises(NotReady):
            await call
        await cancelled.wait()
        with pytest.raises(NotReady):
            await caller.call("wait")


async def test_stages_cross_for_who_is_followed() -> None:
    async def work() -> None:
        mark("work", 1.0)

    async with line_to({"work": work}) as (caller, _):
        await caller.call("work")
        stages = follow()
        await caller.call("work")
    assert [(stage.name, stage.began) for stage in stages] == [("work", 1.0)]
    assert isinstance(stages[0], StageTiming)
