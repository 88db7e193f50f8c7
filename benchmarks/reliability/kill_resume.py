"""Kills index builds, and lets the disk fail, resumes them, and compares every file.

python -m benchmarks.reliability.kill_resume
python -m benchmarks.reliability.kill_resume --full

Two kinds of faults: SIGKILL of a build of images at random moments, and a kill, a full disk and an
I/O error at the calls by which a build of texts changes the disk (write, fsync, mkdir, rename,
unlink, rmdir): at every call with --full, else at every 90th. Builds begin without a bundle, with
one whose version is built again by force, and with one that gets another index. After each fault
CURRENT must name a version that verifies, if it did before, and the resumed build must have the
bytes of one that was not interrupted.
"""

import argparse
import errno
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import monotonic, sleep

import tusou_indexer.build
import tusou_indexer.write_bundle
from tusou_indexer.build import BuildSpec, build

from benchmarks.record import record
from benchmarks.reliability.disk_faults import Killed, disk_fault
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import ArtifactError
from tusou.encoders import find_weights, load_text_encoder, open_text_encoder

TUSOU = [sys.executable, "-m", "tusou"]
ERRORS = {"kill": None, "full disk": errno.ENOSPC, "I/O error": errno.EIO}
# Scenario -> whether a bundle exists before, the index to build, and whether by force.
SCENARIOS = {
    "first": (False, "auto", False),
    "forced": (True, "auto", True),
    "other index": (True, "SQ8", False),
}
TEXTS = 20
SPARSE = 90


def main() -> None:
    """Inject the faults and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, help="at random moments; 5, or 1,000 if full")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--items", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    kills = arguments.kills or (1000 if arguments.full else 5)
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            **injected(Path(folder), 1 if arguments.full else SPARSE),
            **killed(Path(folder), kills, arguments.items, arguments.seed),
        }
    record("reliability.kill_resume", figures)
    sys.exit(bool(figures["builds_that_differ"] or figures["faults_that_differ"]))


def injected(folder: Path, stride: int) -> dict[str, object]:
    """Return how many faults left no bundle, and how many resumed builds differ; both must be 0."""
    load_once()
    source = folder / "texts.jsonl"
    rows = [json.dumps({"id": 1000 + n, "text": f"第{n}件连衣裙"}) for n in range(TEXTS)]
    source.write_text("\n".join(rows))
    spec = BuildSpec(str(source), "demo", device="cpu")
    faults = broken = differing = 0
    calls_of = {}
    for name, (is_there, index, force) in SCENARIOS.items():
        before, whole, out = (folder / f"{name} {part}" for part in ("before", "whole", "b"))
        before.mkdir()
        if is_there:
            build(spec, before, NoProgress())
        shutil.copytree(before, whole)
        changed = replace(spec, index=index)
        with disk_fault(-1) as calls:
            build(changed, whole, NoProgress(), force=force)
        calls_of[name] = len(calls)
        expected = digests(whole)
        for number, error in points(len(calls), stride):
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(before, out)
            with disk_fault(number, error), suppress(Killed, OSError):
                build(changed, out, NoProgress(), force=force)
            faults += 1
            broken += is_there and not is_whole(out)
            build(changed, out, NoProgress())
            differing += digests(out) != expected
    return {
        "disk_calls": calls_of,
        "faults": faults,
        "faults_without_a_bundle": broken,
        "faults_that_differ": broken + differing,
    }


def points(calls: int, stride: int) -> Iterator[tuple[int, int | None]]:
    """Yield the number of a call and the error to inject there, another set for each error."""
    for position, error in enumerate(ERRORS.values()):
        for number in range(position * stride // len(ERRORS), calls, stride):
            yield number, error


def is_whole(root: Path) -> bool:
    """Return whether CURRENT names a version whose every byte is right."""
    try:
        Bundle.open(root).verify()
    except ArtifactError:
        return False
    return True


def load_once() -> None:
    """Load the demo model once for all builds in this process, and make several shards."""
    vars(tusou_indexer.build).update(
        SHARD_ROWS=8,
        BATCH_ROWS=4,
        find_weights=cache(find_weights),
        open_text_encoder=cache(open_text_encoder),
    )
    vars(tusou_indexer.write_bundle)["load_text_encoder"] = cache(load_text_encoder)


def killed(folder: Path, kills: int, items: int, seed: int) -> dict[str, object]:
    """Return how many resumed builds differ from an uninterrupted one, which must be 0."""
    size = ["--items", str(items), "--queries", "1", "--seed", "3", "--splits", "test"]
    subprocess.run([*TUSOU, "toy", folder / "data", *size], check=True, capture_output=True)
    index = [*TUSOU, "index", str(folder / "data" / "MR_test_imgs.tsv"), "--model", "demo", "--out"]
    started = monotonic()
    subprocess.run([*index, str(folder / "whole")], check=True, capture_output=True)
    whole_seconds = monotonic() - started
    expected = digests(folder / "whole")
    generator = random.Random(seed)
    differing, moments = 0, list[float]()
    while len(moments) < kills:
        out = folder / "killed"
        shutil.rmtree(out, ignore_errors=True)
        moment = generator.uniform(0.05, 1.0) * whole_seconds
        if not kill_after([*index, str(out)], moment):
            continue  # the build was complete before the kill; draw another moment
        moments.append(round(moment, 2))
        subprocess.run([*index, str(out)], check=True, capture_output=True)
        differing += digests(out) != expected
    return {
        "kills": kills,
        "builds_that_differ": differing,
        "files_compared": len(expected),
        "items": items,
        "unbroken_build_s": round(whole_seconds, 1),
        "killed_at_s": moments[:20],
    }


def kill_after(command: list[str], moment: float) -> bool:
    """Start a build and kill it after `moment` seconds; return whether it was still running."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sleep(moment)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def digests(root: Path) -> dict[str, str]:
    """Return the digest of every file of a bundle except the lock, which is empty."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


if __name__ == "__main__":
    main()
