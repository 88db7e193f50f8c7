"""Available memory, read from copies of the system's files."""

from pathlib import Path

import pytest

from tusou.core.errors import InsufficientMemory
from tusou.core.memory_budget import available_memory, check_memory, memory_shortage_named

MIB = 2**20


def system(root: Path, cgroup: str, groups: dict[str, dict[str, str]], swap: int = 0) -> Path:
    """Write the files of a machine with 1,000 MiB available and some control groups."""
    files = {
        "proc/meminfo": f"MemTotal: 9 kB\nMemAvailable:  {1000 * 1024} kB\nSwapFree: {swap} kB\n",
        "proc/self/cgroup": cgroup,
    }
    for group, values in groups.items():
        files |= {f"sys/fs/cgroup/{group}/{name}": text for name, text in values.items()}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(limit: str, used: int, active: int = 0, inactive: int = 0) -> dict[str, str]:
    stat = f"anon 5\nactive_file {active}\ninactive_file {inactive}\nfile 12345\n"
    return {"memory.max": limit + "\n", "memory.current": f"{used}\n", "memory.stat": stat}


def test_without_groups_the_available_memory_counts(tmp_path: Path) -> None:
    assert available_memory(system(tmp_path, "0::/\n", {})) == 1000 * MIB


def test_swap_is_counted(tmp_path: Path) -> None:
    assert available_memory(system(tmp_path, "0::/\n", {}, swap=1024)) == 1001 * MIB


def test_without_proc_the_memory_is_unknown(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


def test_the_smallest_group_counts_and_cached_files_are_free(tmp_path: Path) -> None:
    groups = {
        "a/b": v2("max", 10 * MIB),
        "a": v2(str(500 * MIB), 450 * MIB, active=30 * MIB, inactive=20 * MIB),
        "": {"memory.stat": "active_file 1\n"},
    }
    assert available_memory(system(tmp_path, "0::/a/b\n", groups)) == 100 * MIB


def test_in_a_container_the_root_group_counts(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/docker/123\n", {"": v2(str(300 * MIB), 100 * MIB)})
    assert available_memory(root) == 200 * MIB


def test_a_group_over_its_limit_has_only_swap_left(tmp_path: Path) -> None:
    groups = {"a": v2(str(5 * MIB), 6 * MIB)}
    assert available_memory(system(tmp_path, "0::/a\n", groups, swap=1024)) == MIB


def test_only_more_than_the_available_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tusou.core.memory_budget.available_memory", lambda: 3000 * MIB)
    check_memory(3000 * MIB)
    with pytest.raises(InsufficientMemory, match=r"at least 3,001 MiB .* 3,000 MiB are free"):
        check_memory(3001 * MIB)
    monkeypatch.setattr("tusou.core.memory_budget.available_memory", lambda: None)
    check_memory(2**60)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch.so: failed to map segment: Cannot allocate memory"),
    ],
    ids=["python", "torch", "faiss", "loader"],
)
def test_a_shortage_in_any_library_is_one_line(error: Exception) -> None:
    with pytest.raises(InsufficientMemory, match="could not allocate"), memory_shortage_named():
        raise error


def test_other_errors_are_not_called_a_shortage() -> None:
    with pytest.raises(RuntimeError, match="broken"), memory_shortage_named():
        raise RuntimeError("broken")
