"""What a figure was measured on: processor, cores, memory."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Name the processor, its cores and memory, and Python's version."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags: set[str] = set()
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            if name.strip() == "flags":
                flags = set(value.split())
    matrix = next((flag for flag in ("amx_bf16", "avx512_bf16", "avx2") if flag in flags), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{_cores()} cores of {model} ({matrix}), {memory:.0f} GiB, Python {python}"


def _cores() -> int:
    # macOS has no affinity to ask for.
    asked = getattr(os, "sched_getaffinity", None)
    return len(asked(0)) if asked else os.cpu_count() or 1
