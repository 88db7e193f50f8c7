"""Spreads the passes of a batch over a processor's cores."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

_TRIES = 5  # of a few milliseconds each


class Lanes:
    """Runs passes side by side on one core each, or a single pass on all cores at once.

    Cores that share a pass meet after every product, and when other work takes one of them for a
    moment all the others wait; passes side by side never meet. So a batch is cut into `count`
    passes or more, and only a pass that comes alone, and is `heavy`, is shared. Whether to share a
    `short` one as well is for `settle` to find out: products of a few rows can be done sooner than
    the cores have met.
    """

    def __init__(self, device: torch.device, *, heavy: bool) -> None:
        self.count = torch.get_num_threads() if device.type == "cpu" else 1
        if self.count > 1:
            self._side_by_side = _pool(self.count, cores_each=1)
            self._alone = _pool(1, cores_each=self.count) if heavy else self._side_by_side
            self._short = self._alone
            torch.set_num_threads(self.count)  # what the pools' threads set is seen by new threads

    def settle(self, short_pass: Callable[[], object]) -> None:
        """Try a short pass on one core and on all, and let later ones have what was faster."""
        if self.count == 1 or self._alone is self._side_by_side:
            return
        tries = [
            (_seconds(self._side_by_side, short_pass), _seconds(self._alone, short_pass))
            for _ in range(_TRIES)
        ]
        on_one, on_all = (min(times) for times in zip(*tries, strict=True))
        self._short = self._side_by_side if on_one < on_all else self._alone

    def run(
        self, one_pass: Callable[[T], None], parts: Iterable[T], *, short: bool = False
    ) -> None:
        """Call `one_pass` on every part, and raise the first error of any."""
        jobs = list(parts)
        if self.count == 1:
            for job in jobs:
                one_pass(job)
            return
        lone = self._short if short else self._alone
        pool = self._side_by_side if len(jobs) > 1 else lone
        running = [pool.submit(one_pass, job) for job in jobs]
        for future in running:
            future.result()


def _seconds(pool: ThreadPoolExecutor, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    pool.submit(work).result()
    return time.perf_counter() - started


def _pool(threads: int, cores_each: int) -> ThreadPoolExecutor:
    """Start threads, each of which torch will let use so many cores."""
    pool = ThreadPoolExecutor(threads, "encoder", _use_cores, (cores_each,))
    all_started = threading.Barrier(threads)
    for future in [pool.submit(all_started.wait) for _ in range(threads)]:
        future.result()
    return pool


_SETTING = threading.Lock()


def _use_cores(count: int) -> None:
    """Set this thread's share: torch keeps it per thread, and fixes it at the first look."""
    with _SETTING:
        torch.set_num_threads(count)
        torch.get_num_threads()
