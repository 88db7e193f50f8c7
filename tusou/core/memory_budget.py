"""How much memory can still be taken before the system ends a process for it."""

from collections.abc import Iterator
from pathlib import Path

from tusou.core.errors import InsufficientMemory

# Of a control group, in the second version and in the first: its limit, what it uses, and the
# lines of its memory.stat that count cached files, which it gives back when memory is short.
_V2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))
_V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)


def available_memory(system: Path = Path("/")) -> int | None:
    """Return the bytes that this process can still take at most; None where nothing tells.

    Cached files count as free, and swap as memory: more than this cannot be had, and less may be.
    """
    meminfo = _numbers(system / "proc/meminfo")
    if "MemAvailable" not in meminfo:  # no Linux
        return None
    swap = meminfo.get("SwapFree", 0) * 1024
    return swap + min([meminfo["MemAvailable"] * 1024, *_groups(system)])


def check_memory(needed: int) -> None:
    """Raise InsufficientMemory for what certainly does not fit."""
    free = available_memory()
    if free is not None and needed > free:
        raise InsufficientMemory(
            f"this takes at least {needed / 2**20:,.0f} MiB of memory, and {free / 2**20:,.0f} MiB "
            "are free; free some, allow the process more, or stop the service and start it anew"
        )


def _groups(system: Path) -> Iterator[int]:
    """Yield what the limit of each control group that holds this process leaves."""
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = system / "sys/fs/cgroup"
        if "memory" in controllers.split(","):
            yield from _limits(root / "memory", path, *_V1)
        elif not controllers:
            yield from _limits(root, path, *_V2)


def _limits(root: Path, path: str, limit: str, used: str, cached: tuple[str, ...]) -> Iterator[int]:
    # In a container the group's own folder may be mounted as the root: what is not there is passed.
    folder = root / path.strip("/")
    for group in (folder, *folder.parents):
        try:
            most = int((group / limit).read_text())
            taken = int((group / used).read_text())
        except (OSError, ValueError):  # the root has no limit; a group without one says "max"
            continue
        stat = _numbers(group / "memory.stat")
        yield max(0, most - taken + sum(stat.get(name, 0) for name in cached))


def _numbers(path: Path) -> dict[str, int]:
    """Read a file of a name and a number a line."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    split = (line.replace(":", " ").split() for line in lines)
    return {name: int(number) for name, number, *_ in split}
