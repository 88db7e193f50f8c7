"""Scans that fail when nothing can be read for a time, as when a network file system is lost."""

import errno
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.pool import ThreadPool
from typing import TypeVar

T = TypeVar("T")

SCAN_SECONDS = 60.0
_ROWS_AT_ONCE = 256


def iterate_in_time(
    rows: Iterator[T],
    bytes_read: Callable[[], int],
    file: Callable[[], str],
    seconds: float = SCAN_SECONDS,
) -> Iterator[T]:
    """Yield the rows, read in a thread that does not keep the process alive if it hangs.

    Raises TimeoutError, with `file()`, when for `seconds` no rows come and no bytes are read.
    """
    threads = ThreadPool(1)
    try:
        while True:
            read = bytes_read()
            reading = threads.apply_async(lambda: list(islice(rows, _ROWS_AT_ONCE)))
            reading.wait(seconds)
            while not reading.ready():
                if bytes_read() == read:
                    reason = f"nothing read for {seconds:g} s; is its file system there?"
                    raise TimeoutError(errno.ETIMEDOUT, reason, file())
                read = bytes_read()
                reading.wait(seconds)
            batch = reading.get()
            yield from batch
            if len(batch) < _ROWS_AT_ONCE:
                return
    finally:
        threads.terminate()
