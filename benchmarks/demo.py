"""Duration and scores of the demo.

python -m benchmarks.demo
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

from benchmarks.record import record


def main() -> None:
    """Run the demo and record its duration and scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", default="3000")
    parser.add_argument("--queries", default="300")
    arguments = parser.parse_args()
    size = ["--items", arguments.items, "--queries", arguments.queries]
    with tempfile.TemporaryDirectory() as folder:
        started = monotonic()
        command = [sys.executable, "-m", "tusou", "demo", "--dir", str(Path(folder) / "run"), *size]
        process = subprocess.run([*command, "--json"], check=True, stdout=subprocess.PIPE)
        seconds = monotonic() - started
    record("demo", {"wall_s": round(seconds, 1), "goal_s": 60, **json.loads(process.stdout)})


if __name__ == "__main__":
    main()
