"""Time and memory of `tusou check` on drawn images, with its page and without.

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
    """Run and record."""
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
        plain = measured(data)
        with_page = measured([*data, "--html", str(folder / "page.html")])
        page = (folder / "page.html").stat().st_size
    figures: dict[str, object] = {
        "images": options.items,
        "queries": options.queries,
        "without_page": plain,
        "with_page": with_page,
        "page_bytes": page,
        "memory_counted": "resident memory of all processes together at its highest, polled",
    }
    record("check", figures)


def measured(command: list[str]) -> dict[str, float]:
    """Run a command to its end; give its seconds and the peak memory of its processes in MiB."""
    started, peak = perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        peak = max(peak, resident_mib(process.pid))
        sleep(_POLL)
    if process.returncode > 1:  # 1 is a finding that is an error
        raise SystemExit(f"tusou check ended with {process.returncode}")
    return {"seconds": round(perf_counter() - started, 1), "peak_mib": round(peak, 1)}


def resident_mib(session: int) -> float:
    """Ask the system what the processes of a session hold."""
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-s", str(session)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    return sum(map(int, shown.stdout.split())) / 1024


if __name__ == "__main__":
    main()
