"""Memory still available to this process, cgroup limits included."""

from collections.abc import Iterator
from pathlib import Path

from tusou.core.errors import InsufficientMemory

# The files of a control group (cgroup v2 and v1): limit, usage, and the lines of memory.stat that
# count cached files, which the kernel frees when memory is short.
_V2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))
_V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)


def available_memory(system: Path = Path("/")) -> int | None:
    """Return the most bytes that this process can still allocate, None if unknown (no Linux).

    Cached files count as free and swap as memory, so this is an upper bound.
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
    # In a container the group's own folder may be mounted as the root; missing files are skipped.
    folder = root / path.strip("/")
    for group in (folder, *folder.parents):
        try:
            allowed = int((group / limit).read_text())
            usage = int((group / used).read_text())
        except (OSError, ValueError):  # the root group has no limit; "max" is no number
            continue
        stat = _numbers(group / "memory.stat")
        yield max(0, allowed - usage + sum(stat.get(name, 0) for name in cached))


def _numbers(path: Path) -> dict[str, int]:
    """Read a file with a name and a number per line; empty if there is no file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    split = (line.replace(":", " ").split() for line in lines)
    return {name: int(number) for name, number, *_ in split}
