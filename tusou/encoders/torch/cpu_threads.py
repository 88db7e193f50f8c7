"""Distribution of a batch's passes over the cores of a processor."""

import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")

_TRIES = 5  # each takes a few milliseconds

# Held while torch's global thread count is changed: a new thread reads the latest value.
_THREAD_COUNT_LOCK = threading.RLock()


class CpuThreads:
    """Runs passes in parallel on one core each, or a single pass on all cores.

    Cores that share a pass synchronise after every product: when other work takes one of them, all
    wait. Passes on one core each never wait for each other. Therefore a batch is split into
    `count` passes or more, and only a single pass of a `heavy` tower is shared. Whether a `short`
    single pass is shared, too, is measured by `calibrate`: products of a few rows can take less
    time than the synchronisation.
    """

    def __init__(self, device: torch.device, *, heavy: bool) -> None:
        with _THREAD_COUNT_LOCK:
            self.count = torch.get_num_threads() if device.type == "cpu" else 1
            self._shares_short = self._shares = heavy and self.count > 1
            if self.count > 1:
                self._single_core = _pool(self.count, cores_each=1)
                if self._shares:
                    _all_cores(self.count)
                # The pools' threads have changed the count that later threads start with.
                torch.set_num_threads(self.count)

    def calibrate(self, short_pass: Callable[[], object]) -> None:
        """Time a short pass on one core and on all, and use the faster way from now on."""
        if not self._shares:
            return
        all_cores = _all_cores(self.count)
        tries = [
            (_seconds(self._single_core, short_pass), _seconds(all_cores.threads, short_pass))
            for _ in range(_TRIES)
        ]
        on_one, on_all = (min(times) for times in zip(*tries, strict=True))
        self._shares_short = on_all < on_one

    def run(
        self, run_pass: Callable[[T], None], passes: Iterable[T], *, short: bool = False
    ) -> None:
        """Call `run_pass` on every pass, and raise the first error."""
        jobs = list(passes)
        if self.count == 1:
            for job in jobs:
                run_pass(job)
            return
        shares = self._shares_short if short else self._shares
        if len(jobs) == 1 and shares and _all_cores(self.count).run(run_pass, jobs[0]):
            return
        running = [self._single_core.submit(run_pass, job) for job in jobs]
        for future in running:
            future.result()


class _AllCores:
    """The one thread of a process whose passes are shared by all cores.

    If several threads share their work among the cores, OpenMP has more threads than cores. They
    then sleep while they wait for each other instead of spinning, and waking up after each product
    takes as long as the product.
    """

    def __init__(self, count: int) -> None:
        self.threads = _pool(1, cores_each=count)
        self._idle = threading.Lock()

    def run(self, run_pass: Callable[[T], None], job: T) -> bool:
        """Run a pass on all cores; return False at once if another tower is using them."""
        if not self._idle.acquire(blocking=False):
            return False
        try:
            self.threads.submit(run_pass, job).result()
        finally:
            self._idle.release()
        return True


@functools.cache
def _all_cores(count: int) -> _AllCores:
    return _AllCores(count)


def on_all_cores(work: Callable[[], T]) -> T:
    """Run other torch code in the thread that shares its work among all cores."""
    return _all_cores(torch.get_num_threads()).threads.submit(work).result()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Make torch use one core for the work of this thread, as `_AllCores` requires."""
    with _THREAD_COUNT_LOCK:
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
    """Start threads in each of which torch uses `cores_each` cores."""
    pool = ThreadPoolExecutor(threads, "encoder", _use_cores, (cores_each,))
    all_started = threading.Barrier(threads)
    for future in [pool.submit(all_started.wait) for _ in range(threads)]:
        future.result()
    return pool


_USE_CORES_LOCK = threading.Lock()


def _use_cores(count: int) -> None:
    """Set this thread's core count: torch keeps it per thread and fixes it when first read."""
    with _USE_CORES_LOCK:
        torch.set_num_threads(count)
        torch.get_num_threads()
