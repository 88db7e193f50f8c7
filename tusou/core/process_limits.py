"""Limits on worker processes: how much they hold, and how long they live."""

import multiprocessing
import os
import resource
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path


def limit_memory(more: int) -> None:
    """Let this process map so many bytes more than it has by now; beyond them is MemoryError.

    Counted from what is mapped, since libraries reserve addresses that they never touch: how many
    differs from machine to machine. macOS knows the limit and refuses to set it.
    """
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    total = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (total, total))


def exit_with_parent() -> None:
    """Let a worker end when its parent does, kill -9 too: nobody else would end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
