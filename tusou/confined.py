"""Limits on a process that decodes pictures made by strangers."""

import resource
import sys
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
