"""Spreads the passes of a batch over a processor's cores."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


class Lanes:
    """Runs passes side by side on one core each, or a single pass on all cores at once.

    Cores that share a pass meet after every product, and when other work takes one of them for a
    moment all the others wait; passes side by side never meet. So a batch is cut into `count`
    passes or more, and only a pass that comes alone, and is `heavy`, is shared.
    """

    def __init__(self, device: torch.device, *, heavy: bool) -> None:
        self.count = torch.get_num_threads() if device.type == "cpu" else 1
        if self.count > 1:
            self._side_by_side = _pool(self.count, cores_each=1)
            self._alone = _pool(1, cores_each=self.count) if heavy else self._side_by_side
            torch.set_num_threads(self.count)  # what the pools' threads set is seen by new threads

    def run(self, one_pass: Callable[[T], None], parts: Iterable[T]) -> None:
        """Call `one_pass` on every part, and raise the first error of any."""
        jobs = list(parts)
        if self.count == 1:
            for job in jobs:
                one_pass(job)
            return
        pool = self._side_by_side if len(jobs) > 1 else self._alone
        running = [pool.submit(one_pass, job) for job in jobs]
        for future in running:
            future.result()


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
