"""Limits of worker processes: memory and lifetime."""

import multiprocessing
import os
import resource
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path


def limit_memory(size: int) -> None:
    """Let this process map `size` more bytes; an allocation beyond them raises MemoryError.

    The limit counts from what is mapped now, because libraries reserve address space that they
    never touch, a different amount on each machine. Does nothing on macOS, which refuses the limit.
    """
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    total = pages * resource.getpagesize() + size
    resource.setrlimit(resource.RLIMIT_AS, (total, total))


def exit_with_parent() -> None:
    """End this worker process when its parent ends, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
