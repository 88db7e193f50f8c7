"""Peak memory of index builds for a pool and for one five times as large.

python -m benchmarks.index_memory --items 4000
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.record import record

TUSOU = [sys.executable, "-m", "tusou"]


def main() -> None:
    """Measure both builds and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=4000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory() as folder:
        small, large = (peak_mib(Path(folder), count) for count in (items, 5 * items))
    figures: dict[str, object] = {
        f"peak_mib_{items}_items": round(small, 1),
        f"peak_mib_{5 * items}_items": round(large, 1),
        "growth_percent": round(100 * (large / small - 1), 2),
        "measured": "peak resident memory of the indexer's main process",
    }
    record("index_memory", figures)


def peak_mib(folder: Path, items: int) -> float:
    """Index a toy pool of `items` images and return the peak of the process in MiB."""
    size = ["--items", str(items), "--queries", "1", "--seed", "3", "--splits", "test"]
    data = folder / f"data{items}"
    subprocess.run([*TUSOU, "toy", str(data), *size], check=True, capture_output=True)
    out = str(folder / f"bundle{items}")
    command = [*TUSOU, "index", str(data / "MR_test_imgs.tsv"), "--out", out, "--model", "demo"]
    build = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(build.pid, 0)
    build.returncode = os.waitstatus_to_exitcode(status)
    if build.returncode:
        raise SystemExit(f"tusou index ended with {build.returncode}")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
