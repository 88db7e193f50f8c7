"""Expected times of batches, and the latency that admission aims at."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

# A batch is efficient with this share of a full one's throughput; smaller ones are not typical of
# a loaded service.
_EFFICIENT_SHARE = 5 / 6
_SMALLEST_EFFICIENT = 4
# The target in times of an efficient batch: enough for the bursts at 80 % of the capacity.
_TARGET_BATCHES = 5
# A lower target would refuse bursts that a fast model answers unnoticeably late.
_LOWEST_TARGET = 0.05
# The weight of the newest value in a moving average.
_NEWEST_WEIGHT = 0.3
_SMALL_BATCH, _LARGE_BATCH = 1, 8


@dataclass(slots=True)
class BatchTimes:
    """The expected seconds of a batch: a fixed part, and one for each item.

    They are measured at the start; `pace` follows the time that batches take under other load.
    """

    efficient_size: int  # of the smallest efficient batch
    fixed: float = 0.0
    per_item: float = 0.0
    pace: float = 1.0

    def of(self, count: int) -> float:
        """Return the expected seconds of a batch of `count` items; 0 for none."""
        return self.pace * (self.fixed + self.per_item * count) if count else 0.0

    def observe(self, count: int, seconds: float) -> None:
        """Adjust `pace` to the measured seconds of a batch of `count` items."""
        expected = self.fixed + self.per_item * count
        if expected:
            self.pace = moving_average(self.pace, seconds / expected)

    @property
    def target(self) -> float:
        """The latency in seconds, from arrival to result, that admission aims at."""
        return max(_LOWEST_TARGET, _TARGET_BATCHES * self.of(self.efficient_size))


def moving_average(average: float, newest: float) -> float:
    """Return the average with the newest value, in which older ones count less and less."""
    return average + _NEWEST_WEIGHT * (newest - average)


def measure_batch_times(run: Callable[[int], object], max_batch: int) -> BatchTimes:
    """Measure a batch of one item and one of several; `run` is warm."""
    small, large = (
        min(_seconds(run, count) for _ in range(2)) for count in (_SMALL_BATCH, _LARGE_BATCH)
    )
    per_item = max(large - small, 0.0) / (_LARGE_BATCH - _SMALL_BATCH)
    times = BatchTimes(max_batch, max(small - per_item, 0.0), per_item)
    full = max_batch / (times.of(max_batch) or 1.0)
    sizes = range(min(_SMALLEST_EFFICIENT, max_batch), max_batch)
    efficient = (n for n in sizes if n >= _EFFICIENT_SHARE * full * times.of(n))
    times.efficient_size = next(efficient, max_batch)
    return times


def _seconds(run: Callable[[int], object], count: int) -> float:
    started = perf_counter()
    run(count)
    return perf_counter() - started
