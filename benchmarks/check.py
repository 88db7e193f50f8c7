"""Time and memory of `tusou check` on drawn images, with and without its page.

python -m benchmarks.check --items 30000
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, sleep

from benchmarks.record import record

TUSOU = [sys.executable, "-m", "tusou"]
_POLL = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=30_000)
    parser.add_argument("--queries", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = ["--items", str(options.items), "--queries", str(options.queries), "--seed", "3"]
        draw = [*TUSOU, "toy", str(folder / "data"), *size, "--splits", "test"]
        subprocess.run(draw, check=True, stdout=subprocess.DEVNULL)
        data = [*TUSOU, "check", str(folder / "data")]
        without_page = measure(data)
        with_page = measure([*data, "--html", str(folder / "page.html")])
        page = (folder / "page.html").stat().st_size
    figures: dict[str, object] = {
        "images": options.items,
        "queries": options.queries,
        "without_page": without_page,
        "with_page": with_page,
        "page_bytes": page,
        "memory_counted": "resident memory of all processes together at its highest, polled",
    }
    record("check", figures)


def measure(command: list[str]) -> dict[str, float]:
    """Run a command; return its seconds and the peak memory of all its processes in MiB."""
    started, peak = perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        peak = max(peak, resident_mib(process.pid))
        sleep(_POLL)
    if process.returncode > 1:  # 1: the dataset has errors
        raise SystemExit(f"tusou check exited with {process.returncode}")
    return {"seconds": round(perf_counter() - started, 1), "peak_mib": round(peak, 1)}


def resident_mib(session: int) -> float:
    """Return the resident memory of the processes of a session in MiB."""
    output = subprocess.run(
        ["ps", "-o", "rss=", "-s", str(session)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    return sum(map(int, output.stdout.split())) / 1024


if __name__ == "__main__":
    main()
