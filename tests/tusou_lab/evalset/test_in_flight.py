"""Questions in flight: as many as allowed, all answered, and errors after the answers."""

import asyncio
from collections.abc import Iterator
from time import sleep

import pytest
from tusou_lab.evalset.in_flight import ask_in_flight

from tusou.stages.loop_thread import LoopThread


async def nothing() -> None: ...


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    started = LoopThread("test", nothing)
    yield started
    started.close()


def test_as_many_questions_as_allowed_are_in_flight(thread: LoopThread) -> None:
    running, most = 0, 0

    async def ask(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return item

    answers = [each for batch in ask_in_flight(thread, ask, range(20), 6) for each in batch]
    assert sorted(answers) == list(range(20))
    assert most == 6


def test_questions_go_on_while_answers_are_handled(thread: LoopThread) -> None:
    asked = []

    async def ask(item: int) -> int:
        asked.append(item)
        return item

    batches = ask_in_flight(thread, ask, range(50), 2)
    first = next(batches)
    sleep(0.3)
    assert len(asked) == 50
    assert len(first) + sum(map(len, batches)) == 50


def test_an_error_comes_after_the_answers_before_it_and_ends_the_rest(thread: LoopThread) -> None:
    asked = []

    async def ask(item: int) -> int:
        asked.append(item)
        if item == 5:
            raise ValueError("no answer")
        await asyncio.sleep(0)
        return item

    answers: list[int] = []
    batches = ask_in_flight(thread, ask, range(100), 2)
    with pytest.raises(ValueError, match="no answer"):
        answers.extend(each for batch in batches for each in batch)
    assert {0, 1, 2, 3} <= set(answers)
    assert len(asked) < 10


def test_a_caller_that_leaves_ends_the_questions(thread: LoopThread) -> None:
    cancelled = []

    async def ask(item: int) -> int:
        try:
            await asyncio.sleep(30 if item else 0)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    batches = ask_in_flight(thread, ask, range(10), 4)
    assert next(batches) == [0]
    batches.close()  # type: ignore[attr-defined]
    for _ in range(100):
        if len(cancelled) == 4:
            break
        sleep(0.02)
    assert len(cancelled) == 4
    assert list(ask_in_flight(thread, ask, [], 4)) == []
