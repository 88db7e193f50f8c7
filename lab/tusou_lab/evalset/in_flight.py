"""Asks many questions at once, and hands their answers over as they arrive."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from tusou.stages.loop_thread import LoopThread

T = TypeVar("T")
R = TypeVar("R")


def ask_in_flight(
    thread: LoopThread,
    ask: Callable[[T], Coroutine[Any, Any, R]],
    items: Sequence[T],
    limit: int,
) -> Iterator[list[R]]:
    """Yield the answers for all items in batches, with up to `limit` questions in flight.

    Questions go on while the caller handles a batch. An error of one ends the others, and is
    raised once all answers before it were yielded.
    """
    answers: SimpleQueue[R | _End] = SimpleQueue()
    future = thread.submit(_ask_all(ask, iter(items), min(limit, len(items)), answers))
    try:
        while True:
            batch, ended = _take(answers)
            if batch:
                yield batch
            if ended:
                future.result()
                return
    finally:
        future.cancel()


class _End:
    """Stands behind the last answer."""


_END = _End()


async def _ask_all(
    ask: Callable[[T], Coroutine[Any, Any, R]],
    waiting: Iterator[T],
    workers: int,
    answers: "SimpleQueue[R | _End]",
) -> None:
    async def work() -> None:
        for item in waiting:
            answers.put(await ask(item))

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        answers.put(_END)


def _take(answers: "SimpleQueue[R | _End]") -> tuple[list[R], bool]:
    """Wait for an answer; return it with all others that are there, and whether it was the last."""
    batch: list[R] = []
    answer = answers.get()
    while not isinstance(answer, _End):
        batch.append(answer)
        try:
            answer = answers.get_nowait()
        except Empty:
            return batch, False
    return batch, True
