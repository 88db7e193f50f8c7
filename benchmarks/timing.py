"""Timing of several variants in turn, so that a disturbance affects them all."""

import math
import statistics
import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]

_PAUSE = 0.03  # seconds: OpenMP's threads spin for some milliseconds


def compare(
    variants: Mapping[str, Work],
    baseline: str,
    rounds: int,
    items: int = 1,
    at_once: int = 1,
    seconds: float = math.inf,
) -> dict[str, object]:
    """Time every variant once a round, after a warm-up round; return the medians per item.

    With `at_once`, a variant's turn consists of that many calls, each of them timed. There is a
    pause between turns: OpenMP's threads spin for a moment after their work. After `seconds`, no
    further round begins; there is always one.
    """
    end = time.perf_counter() + seconds
    for work in variants.values():
        work()
    wall: dict[str, list[float]] = {name: [] for name in variants}
    processor: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        if number and time.perf_counter() > end:
            break
        for name, work in variants.items():
            time.sleep(_PAUSE)
            for _ in range(at_once):
                started = time.perf_counter(), time.process_time()
                work()
                wall[name].append(time.perf_counter() - started[0])
                processor[name].append(time.process_time() - started[1])
    each = {name: 1000 * statistics.median(times) / items for name, times in wall.items()}
    processor_each = {
        name: 1000 * statistics.median(times) / items for name, times in processor.items()
    }
    return {
        name: {
            "ms_each": round(each[name], 4),
            "ms_each_fastest": round(1000 * min(wall[name]) / items, 4),
            "processor_ms_each": round(processor_each[name], 4),
            "times_faster": round(each[baseline] / each[name], 2),
        }
        for name in variants
    }


def fastest_in_turn(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Call every work once a round, after a warm-up round; return the fewest seconds of each."""
    for work in works.values():
        work()
    seconds = dict.fromkeys(works, math.inf)
    for _ in range(rounds):
        for name, work in works.items():
            time.sleep(_PAUSE)
            started = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds


def repeated(work: Work, seconds: float) -> list[float]:
    """Call work for that many seconds, after three warm-up calls; return the seconds of each."""
    for _ in range(3):
        work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times
