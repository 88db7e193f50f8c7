"""Start-up time of the service until /readyz, and its idle memory.

python -m benchmarks.startup
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from time import sleep

from benchmarks.record import record
from benchmarks.running import demo_bundle, service


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--bundle", type=Path, help="bundle to serve; default: a new one of the demo"
    )
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = arguments.bundle or demo_bundle(Path(folder), items=3000)
        record("startup", measure(bundle, arguments.runs))


def measure(bundle: Path, runs: int) -> dict[str, object]:
    """Start and stop the service several times; return the medians and the extremes."""
    seconds, megabytes = [], []
    for _ in range(runs):
        with service(bundle) as running:
            sleep(1)  # memory that only the start needed is freed
            seconds.append(running.ready_seconds)
            megabytes.append(running.resident_mb())
    return {
        "runs": runs,
        "start to ready, s, median": round(statistics.median(seconds), 1),
        "start to ready, s, slowest": round(max(seconds), 1),
        "start to ready, s, goal": "under 8",
        "idle memory, MB, median": round(statistics.median(megabytes)),
        "idle memory, MB, largest": round(max(megabytes)),
        "idle memory, MB, goal": "under 700",
    }


if __name__ == "__main__":
    main()
