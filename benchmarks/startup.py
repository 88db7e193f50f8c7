"""How long a service takes from its start to /readyz, and what memory it holds idle.

python -m benchmarks.startup BUNDLE [RUNS]
"""

import statistics
import sys
from pathlib import Path
from time import sleep

from benchmarks.running import machine, service

GOAL_SECONDS, GOAL_MB = 8, 700


def main() -> None:
    """Start and stop the service several times."""
    bundle, runs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    seconds, megabytes = [], []
    for _ in range(runs):
        with service(bundle) as running:
            sleep(1)  # what start-up leaves behind is freed
            seconds.append(running.ready_seconds)
            megabytes.append(running.resident_mb())
    print(machine())
    print(
        f"start to ready  median {statistics.median(seconds):.1f} s, "
        f"slowest {max(seconds):.1f} s of {runs}  (goal: under {GOAL_SECONDS} s)"
    )
    print(
        f"idle memory     median {statistics.median(megabytes):.0f} MB, "
        f"largest {max(megabytes):.0f} MB        (goal: under {GOAL_MB} MB)"
    )


if __name__ == "__main__":
    main()
