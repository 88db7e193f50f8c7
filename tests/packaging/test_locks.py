"""The lock files: every requirement pinned and hashed, no index named, one version everywhere."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED = re.compile(
    r"(?P<name>[a-z0-9.-]+)==(?P<version>\S+)( ; (?P<marker>[^\\]+))?(?P<hashes>.*)"
)
HASHES = re.compile(r"( *\\ *--hash=sha256:[0-9a-f]{64})+")
PLATFORMS = [
    {"sys_platform": system, "platform_machine": machine, "python_full_version": f"{version}.1"}
    for system, machine in [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
    for version in ("3.11", "3.12", "3.13")
]


def requirements(lock: Path) -> list[str]:
    """Join the continued lines, drop the comments."""
    text = re.sub(r"^ *#.*\n", "", lock.read_text(), flags=re.MULTILINE)
    return re.sub(r"\\\n", r"\\", text).splitlines()


def pins(lock: Path, platform: dict[str, str]) -> dict[str, str]:
    found = [PINNED.fullmatch(line) for line in requirements(lock)]
    return {
        pin["name"]: pin["version"]
        for pin in found
        if pin and (pin["marker"] is None or Marker(pin["marker"].strip()).evaluate(platform))
    }


def test_there_is_a_lock_for_each_way_to_install() -> None:
    assert [lock.stem for lock in LOCKS] == [
        "audit",
        "build",
        "client",
        "cpu",
        "data",
        "dev",
        "gpu",
        "installer",
        "lab",
        "llm",
        "milvus-server",
        "milvus",
        "models",
        "otel",
        "ray",
        "s3",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_is_pinned_and_hashed_and_names_no_index(lock: Path) -> None:
    lines = requirements(lock)
    assert lines
    for line in lines:
        pin = PINNED.fullmatch(line)
        assert pin, line
        assert HASHES.fullmatch(pin["hashes"]), line


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: "-".join(platform.values()))
def test_what_is_installed_is_what_is_tested(platform: dict[str, str]) -> None:
    tested = pins(ROOT / "requirements/dev.txt", platform)
    assert {"torch": "2.12.0", "torchvision": "0.27.0"}.items() <= tested.items()
    assert pins(ROOT / "requirements/cpu.txt", platform).items() <= tested.items()
    assert pins(ROOT / "requirements/client.txt", platform).items() <= tested.items()
    assert pins(ROOT / "requirements/data.txt", platform).items() <= tested.items()
    assert pins(ROOT / "requirements/lab.txt", platform).items() <= tested.items()
    assert pins(ROOT / "requirements/otel.txt", platform).items() <= tested.items()
    assert pins(ROOT / "requirements/s3.txt", platform).items() <= tested.items()
    for lock in ("gpu", "llm", "milvus", "milvus-server", "models", "ray"):
        pinned = pins(ROOT / f"requirements/{lock}.txt", platform)
        assert {
            name: tested[name] for name in pinned.keys() & tested.keys()
        }.items() <= pinned.items()


def test_the_two_faiss_are_never_together() -> None:
    for lock in LOCKS:
        assert {"faiss-cpu", "faiss-gpu"} - pins(lock, PLATFORMS[0]).keys(), lock.name


def test_no_lock_has_what_cn_clip_wants_for_its_own_scripts() -> None:
    for lock in LOCKS:
        assert not {"lmdb", "timm"} & pins(lock, PLATFORMS[0]).keys(), lock.name


def wanted(lock: str) -> list[Requirement]:
    """List what pyproject.toml asks for in a lock, its extras followed."""
    if lock in PROJECT["dependency-groups"]:
        return [Requirement(need) for need in PROJECT["dependency-groups"][lock]]
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [Requirement(need) for need in PROJECT["project"]["dependencies"]]
    queue = [] if lock == "client" else [lock]
    while queue:
        for need in map(Requirement, extras[queue.pop()]):
            queue.extend(need.extras) if need.name == "tusou" else asked.append(need)
    return asked


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_has_all_that_the_project_asks_for(lock: Path) -> None:
    found = pins(lock, PLATFORMS[0])
    for need in wanted(lock.stem):
        assert need.specifier.contains(found[canonicalize_name(need.name)]), str(need)
