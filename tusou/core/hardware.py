"""Processor, cores and memory of this machine."""

import os
import platform
from functools import cache
from pathlib import Path


def describe_machine() -> str:
    """Return the processor, its cores and memory, and Python's version, for reports."""
    model = _cpuinfo("model name") or platform.processor() or platform.machine()
    instructions = ("amx_bf16", "avx512_bf16", "avx2")
    matrix = next((name for name in instructions if name in cpu_features()), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{cpu_count()} cores of {model} ({matrix}), {memory:.0f} GiB, Python {python}"


def is_x86() -> bool:
    """Return whether the processor is x86-64."""
    return platform.machine() in ("x86_64", "AMD64")


@cache
def cpu_features() -> frozenset[str]:
    """Return the processor's instruction sets by their Linux names; empty on other systems."""
    return frozenset(_cpuinfo("flags").split())


def _cpuinfo(key: str) -> str:
    """Return a value of the first core from /proc/cpuinfo, or an empty string."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def cpu_count() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    return len(affinity(0)) if affinity else os.cpu_count() or 1
