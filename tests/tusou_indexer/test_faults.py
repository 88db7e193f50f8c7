"""Builds whose process is killed or whose disk fails, at every call that changes the disk."""

import errno
import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tusou_indexer.build import BuildReport, BuildSpec, build

from benchmarks.reliability.disk_faults import Killed, disk_fault
from tusou.bundle.bundle import Bundle, current_version
from tusou.bundle.manifest import INDEX, VECTORS
from tusou.cli.progress import NoProgress

pytestmark = pytest.mark.usefixtures("quick_builds")
KILL = None


def digests(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def run(spec: BuildSpec, out: Path, *, force: bool = False) -> BuildReport:
    return build(spec, out, NoProgress(), force=force)


def published(spec: BuildSpec, out: Path) -> None:
    run(spec, out)


def damaged(spec: BuildSpec, out: Path) -> None:
    """Publish the version and damage two of its files, of which none is its manifest."""
    folder = out / run(spec, out).version
    for name in (VECTORS, INDEX):
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        (folder / name).write_bytes(data)


def nothing(spec: BuildSpec, out: Path) -> None:
    out.mkdir()


# Scenarios: the bundle before the build, and the build.
SCENARIOS: dict[str, tuple[Callable[[BuildSpec, Path], None], dict[str, str], bool]] = {
    "first": (nothing, {}, False),
    "forced": (published, {}, True),
    "other-index": (published, {"index": "SQ8"}, False),
    "repaired": (damaged, {}, False),
}
# Every 41st call, another set in each case; `benchmarks.reliability.kill_resume` tries them all.
STRIDE = 41


@pytest.mark.parametrize("error", [KILL, errno.ENOSPC, errno.EIO], ids=["kill", "full", "io"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_build_that_fails_anywhere_leaves_a_bundle_and_is_resumed_to_the_same_bytes(
    text_spec: BuildSpec, tmp_path: Path, scenario: str, error: int | None
) -> None:
    prepare, changes, force = SCENARIOS[scenario]
    before, whole, out = tmp_path / "before", tmp_path / "whole", tmp_path / "b"
    prepare(text_spec, before)
    spec = replace(text_spec, **changes)  # type: ignore[arg-type]
    shutil.copytree(before, whole)
    with disk_fault(-1) as calls:
        run(spec, whole, force=force)
    start = (list(SCENARIOS).index(scenario) * 3 + (error or 0)) % STRIDE
    for number in range(start, len(calls), STRIDE):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)
        with disk_fault(number, error), suppress(Killed, OSError):
            run(spec, out, force=force)
        where = f"{number}: {calls[number]}"
        if prepare is published:
            Bundle.open(out).verify()
        elif prepare is damaged:
            assert current_version(out), where
        run(spec, out)
        Bundle.open(out).verify()
        assert digests(out) == digests(whole), where


def emptied(data: bytes) -> bytes:
    return b""


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [emptied, cut, flipped])
def test_a_resumed_build_uses_nothing_that_has_changed_meanwhile(
    text_spec: BuildSpec, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    whole, killed, out = tmp_path / "whole", tmp_path / "killed", tmp_path / "b"
    with disk_fault(-1) as calls:
        run(text_spec, whole)
    rename = len(calls) - 1 - calls[::-1].index("rename")  # when the version gets its name
    with disk_fault(rename), pytest.raises(Killed):
        run(text_spec, killed)
    left = [path for path in sorted((killed / ".build").rglob("*")) if path.is_file()]
    assert {path.name for path in left} >= {"plan.json", "ids.txt", "spans.npy", "000000.npy"}
    for path in left:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(killed, out)
        (out / path.relative_to(killed)).write_bytes(damage(path.read_bytes()))
        run(text_spec, out)
        assert digests(out) == digests(whole), path.name


def test_a_rebuilt_version_that_is_intact_is_left_alone(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "b" / run(text_spec, tmp_path / "b").version
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    run(text_spec, tmp_path / "b", force=True)
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before


def test_the_version_that_current_named_before_stays_and_others_go(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    out = tmp_path / "b"
    first, second = (run(replace(text_spec, index=index), out).version for index in ("Flat", "SQ8"))
    (out / "CURRENT").write_text(first + "\n")  # somebody went back
    (out / "0123456789abcdef").mkdir()
    (out / "0123456789abcdef" / "ids.txt").touch()  # half deleted
    (out / "notes").mkdir()
    third = run(replace(text_spec, index="HNSW8"), out).version
    assert current_version(out) == third
    assert {path.name for path in out.iterdir() if path.is_dir()} == {first, third, "notes"}
    assert second not in {first, third}


def test_building_the_current_version_again_deletes_no_other(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    out = tmp_path / "b"
    first, second = (run(replace(text_spec, index=index), out).version for index in ("Flat", "SQ8"))
    run(replace(text_spec, index="SQ8"), out, force=True)
    assert {path.name for path in out.iterdir() if path.is_dir()} == {first, second}
