"""Memory still available to this process, limits of its control groups (cgroup v2) included."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tusou.core.errors import InsufficientMemory
from tusou.core.hardware import control_groups

# Parts of the messages of torch, FAISS and the C++ library, whose errors share no class.
_SHORTAGES = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Return whether Python, torch or FAISS could not allocate memory."""
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in message for sign in _SHORTAGES)


@contextmanager
def memory_shortage_named() -> Iterator[None]:
    """Raise InsufficientMemory where memory could not be allocated."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0][:160] or "no memory left"
        raise InsufficientMemory(
            f"this process could not allocate the memory that it needs ({reason}); free some, or "
            "raise the limit of the process"
        ) from None


def available_memory(system: Path = Path("/")) -> int | None:
    """Return the most bytes that this process can still allocate, None if unknown (no Linux).

    Cached files, which the kernel frees when memory is short, count as free, and swap counts as
    memory, so this is an upper bound.
    """
    meminfo = _numbers(system / "proc/meminfo")
    if "MemAvailable" not in meminfo:
        return None
    swap = meminfo.get("SwapFree", 0) * 1024
    return swap + min([meminfo["MemAvailable"] * 1024, *_group_limits(system)])


def check_memory(needed: int) -> None:
    """Raise InsufficientMemory if `needed` bytes certainly do not fit."""
    free = available_memory()
    if free is not None and needed > free:
        raise InsufficientMemory(
            f"this takes at least {needed / 2**20:,.0f} MiB of memory, and {free / 2**20:,.0f} MiB "
            "are free; free some, raise the limit of the process, or stop the service first"
        )


def _group_limits(system: Path) -> Iterator[int]:
    """Yield the bytes left in each control group of this process."""
    for group in control_groups(system):
        try:
            allowed = int((group / "memory.max").read_text())
            usage = int((group / "memory.current").read_text())
        except (OSError, ValueError):  # the root group has no limit; "max" is not a number
            continue
        stat = _numbers(group / "memory.stat")
        cached = stat.get("active_file", 0) + stat.get("inactive_file", 0)
        yield max(0, allowed - usage + cached)


def _numbers(path: Path) -> dict[str, int]:
    """Read a file with a name and a number per line; empty if there is no file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    split = (line.replace(":", " ").split() for line in lines)
    return {name: int(number) for name, number, *_ in split}
