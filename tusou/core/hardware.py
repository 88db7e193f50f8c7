"""Processor, cores and memory of this machine."""

import os
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def describe_machine() -> str:
    """Return the processor, its cores and memory, and Python's version, for reports."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{cpu_count()} cores of {processor_name()}, {memory:.0f} GiB, Python {python}"


def processor_name() -> str:
    """Return the processor's name and its best instructions for matrix products, in brackets.

    Virtual machines may give different processors the same name.
    """
    model = _cpuinfo("model name") or platform.processor() or platform.machine()
    instructions = ("amx_bf16", "avx512_bf16", "avx2")
    return f"{model} ({next((name for name in instructions if name in cpu_features()), '')})"


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


def control_groups(system: Path = Path("/")) -> Iterator[Path]:
    """Yield the folders of this process's control groups (cgroup v2), innermost first."""
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    # In a container the group's own folder may be mounted as the root; its files may be missing.
    folder = system / "sys/fs/cgroup" / path.strip("/")
    yield from (folder, *folder.parents)


def cpu_count(system: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, a container's CPU limit included."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min([count, *_cpu_limits(system)])


def _cpu_limits(system: Path) -> Iterator[int]:
    """Yield the cores that each control group of this process allows, rounded up."""
    for group in control_groups(system):
        try:
            quota, period = map(int, (group / "cpu.max").read_text().split())
        except (OSError, ValueError):  # the root group has no limit; "max" is not a number
            continue
        yield max(1, -(-quota // period))
