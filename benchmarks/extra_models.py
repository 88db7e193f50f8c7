"""Start time and memory of a service with the extra `models` that it does not need, and without.

python -m benchmarks.extra_models --without PYTHON --with PYTHON

Both are interpreters with Tusou's dependencies, of an environment without the extra and of one
with it. They serve one bundle of the demo model.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from time import sleep

from benchmarks.record import record
from benchmarks.running import demo_bundle, free_port, started

_IDLE_SECONDS = 1.0  # memory that only the start needed is freed


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", type=Path, required=True, help="interpreter without the extra")
    parser.add_argument("--with", dest="with_extra", type=Path, required=True, help="one with it")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    interpreters = {"without": arguments.without, "with": arguments.with_extra}
    record("extra_models", measure_service(interpreters, arguments.runs))


def measure_service(interpreters: dict[str, Path], runs: int) -> dict[str, object]:
    """Start a service on one bundle with each interpreter in turn; return medians and fewest."""
    seconds: dict[str, list[float]] = {name: [] for name in interpreters}
    megabytes: dict[str, list[float]] = {name: [] for name in interpreters}
    with tempfile.TemporaryDirectory() as folder:
        bundle = demo_bundle(Path(folder), items=3000)
        for number in range(runs + 1):
            for name, python in interpreters.items():
                port = free_port()
                command = [str(python), "-m", "tusou", "serve", str(bundle), "--port", str(port)]
                environment = {
                    "TUSOU_LOG_LEVEL": "warning",
                    "TUSOU_DRAIN_S": "0",
                    # Both start from compiled modules, wherever their packages are.
                    "PYTHONPYCACHEPREFIX": str(Path(folder, name)),
                    "PYTHONDONTWRITEBYTECODE": "",
                }
                with started(command, port, environment) as running:
                    sleep(_IDLE_SECONDS)
                    if not number:  # compiles
                        continue
                    seconds[name].append(running.ready_seconds)
                    megabytes[name].append(running.resident_mb())
    figures: dict[str, object] = {"runs": runs}
    for name in interpreters:
        figures[f"{name} the extra"] = {
            "start to ready, s, median": round(statistics.median(seconds[name]), 2),
            "start to ready, s, fastest": round(min(seconds[name]), 2),
            "idle memory, MB, median": round(statistics.median(megabytes[name])),
        }
    start = min(seconds["with"]) / min(seconds["without"])
    memory = statistics.median(megabytes["with"]) / statistics.median(megabytes["without"])
    figures["with the extra to without, fastest start"] = round(start, 3)
    figures["with the extra to without, memory"] = round(memory, 3)
    return figures


if __name__ == "__main__":
    main()
