"""The number of cores, read from copies of the system's files."""

import os
from pathlib import Path

import pytest

from tusou.core.hardware import cpu_count


def system(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    """Write the files of a machine with some control groups and their `cpu.max`."""
    files = {"proc/self/cgroup": cgroup}
    files |= {f"sys/fs/cgroup/{group}/cpu.max": text for group, text in limits.items()}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({}, 8),
        ({"a": "max 100000\n"}, 8),
        ({"a": "200000 100000\n"}, 2),
        ({"a": "150000 100000\n"}, 2),
        ({"a": "50000 100000\n"}, 1),
        ({"a": "1600000 100000\n"}, 8),
        ({"a/b": "300000 100000\n", "a": "200000 100000\n"}, 2),
        ({"": "200000 100000\n"}, 2),  # a container's own group, mounted as the root
    ],
)
def test_the_smallest_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert cpu_count(system(tmp_path, "0::/a/b\n", limits)) == cores
