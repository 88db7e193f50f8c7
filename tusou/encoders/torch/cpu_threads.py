"""Spreads the passes of a batch over a processor's cores."""

import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")

_TRIES = 5  # of a few milliseconds each

# Held while a thread changes its share: a thread that looks for the first time sees the newest.
_CHANGING = threading.RLock()


class Lanes:
    """Runs passes side by side on one core each, or a single pass on all cores at once.

    Cores that share a pass meet after every product, and when other work takes one of them for a
    moment all the others wait; passes side by side never meet. So a batch is cut into `count`
    passes or more, and only a pass that comes alone, and is `heavy`, is shared. Whether to share a
    `short` one as well is for `settle` to find out: products of a few rows can be done sooner than
    the cores have met.
    """

    def __init__(self, device: torch.device, *, heavy: bool) -> None:
        with _CHANGING:
            self.count = torch.get_num_threads() if device.type == "cpu" else 1
            self._shares_short = self._shares = heavy and self.count > 1
            if self.count > 1:
                self._side_by_side = _pool(self.count, cores_each=1)
                if self._shares:
                    _all_cores(self.count)
                torch.set_num_threads(self.count)  # new threads see what the pools' threads set

    def settle(self, short_pass: Callable[[], object]) -> None:
        """Try a short pass on one core and on all, and let later ones have what was faster."""
        if not self._shares:
            return
        all_cores = _all_cores(self.count)
        tries = [
            (_seconds(self._side_by_side, short_pass), _seconds(all_cores.threads, short_pass))
            for _ in range(_TRIES)
        ]
        on_one, on_all = (min(times) for times in zip(*tries, strict=True))
        self._shares_short = on_all < on_one

    def run(
        self, one_pass: Callable[[T], None], parts: Iterable[T], *, short: bool = False
    ) -> None:
        """Call `one_pass` on every part, and raise the first error of any."""
        jobs = list(parts)
        if self.count == 1:
            for job in jobs:
                one_pass(job)
            return
        shares = self._shares_short if short else self._shares
        if len(jobs) == 1 and shares and _all_cores(self.count).run(one_pass, jobs[0]):
            return
        running = [self._side_by_side.submit(one_pass, job) for job in jobs]
        for future in running:
            future.result()


class _AllCores:
    """One thread whose passes are shared by all cores.

    A process has one, whatever its towers: where several threads have cores share their work,
    OpenMP has more threads than there are cores. Then they no longer spin while they wait for each
    other but sleep, and waking up after each product costs as much as the product.
    """

    def __init__(self, count: int) -> None:
        self.threads = _pool(1, cores_each=count)
        self._free = threading.Lock()

    def run(self, one_pass: Callable[[T], None], part: T) -> bool:
        """Call `one_pass` with all cores; if another tower has them, return False at once."""
        if not self._free.acquire(blocking=False):
            return False
        try:
            self.threads.submit(one_pass, part).result()
        finally:
            self._free.release()
        return True


@functools.cache
def _all_cores(count: int) -> _AllCores:
    return _AllCores(count)


def on_all_cores(work: Callable[[], T]) -> T:
    """Do torch's work of another kind in the one thread that shares it among the cores."""
    return _all_cores(torch.get_num_threads()).threads.submit(work).result()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Have torch compute what this thread asks meanwhile on one core, as `_AllCores` demands."""
    with _CHANGING:
        usual = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(usual)


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
