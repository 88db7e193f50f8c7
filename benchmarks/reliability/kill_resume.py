"""Kills index builds at random moments, resumes them, and compares every file.

python -m benchmarks.reliability.kill_resume --kills 20 --seed 1
"""

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep

from benchmarks.record import record

TUSOU = [sys.executable, "-m", "tusou"]


def main() -> None:
    """Run the kills and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--items", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record("reliability.kill_resume", measure(Path(folder), arguments), "kill_resume")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Return how many resumed builds differ from an uninterrupted one, which must be 0."""
    size = ["--items", str(arguments.items), "--queries", "1", "--seed", "3", "--splits", "test"]
    subprocess.run([*TUSOU, "toy", folder / "data", *size], check=True, capture_output=True)
    index = [*TUSOU, "index", str(folder / "data" / "MR_test_imgs.tsv"), "--model", "demo", "--out"]
    started = monotonic()
    subprocess.run([*index, str(folder / "whole")], check=True, capture_output=True)
    whole_seconds = monotonic() - started
    expected = digests(folder / "whole")
    generator = random.Random(arguments.seed)
    differing, kills, moments = 0, 0, []
    while kills < arguments.kills:
        out = folder / "killed"
        shutil.rmtree(out, ignore_errors=True)
        moment = generator.uniform(0.05, 1.0) * whole_seconds
        if not kill_after([*index, str(out)], moment):
            continue  # the build was complete before the kill; draw another moment
        kills += 1
        moments.append(round(moment, 2))
        subprocess.run([*index, str(out)], check=True, capture_output=True)
        differing += digests(out) != expected
    return {
        "kills": kills,
        "builds_that_differ": differing,
        "files_compared": len(expected),
        "items": arguments.items,
        "unbroken_build_s": round(whole_seconds, 1),
        "killed_at_s": moments,
    }


def kill_after(command: list[str], moment: float) -> bool:
    """Start a build and kill it after `moment` seconds; return whether it was still running."""
    build = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sleep(moment)
    running = build.poll() is None
    build.kill()
    build.wait()
    return running


def digests(root: Path) -> dict[str, str]:
    """Return the digest of every file of a bundle except the lock, which is empty."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


if __name__ == "__main__":
    main()
