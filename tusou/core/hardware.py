"""The machine's processor, cores and memory: what a figure was measured on."""

import os
import platform
from functools import cache
from pathlib import Path


def describe_machine() -> str:
    """Name the processor, its cores and memory, and Python's version."""
    model = _told_of("model name") or platform.processor() or platform.machine()
    matrix = next((one for one in ("amx_bf16", "avx512_bf16", "avx2") if one in cpu_features()), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{cpu_count()} cores of {model} ({matrix}), {memory:.0f} GiB, Python {python}"


def is_x86() -> bool:
    """Tell whether this is a 64-bit processor of Intel's kind."""
    return platform.machine() in ("x86_64", "AMD64")


@cache
def cpu_features() -> frozenset[str]:
    """List the processor's instruction sets by Linux's names for them; elsewhere none is known."""
    return frozenset(_told_of("flags").split())


def _told_of(what: str) -> str:
    """Return what Linux says of the first core, or nothing."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == what:
            return value.strip()
    return ""


def cpu_count() -> int:
    """Count the cores that this process may use."""
    # macOS has no affinity to ask for.
    asked = getattr(os, "sched_getaffinity", None)
    return len(asked(0)) if asked else os.cpu_count() or 1
