"""Time to evaluate 5,000 queries against 30,000 vectors, and to write their report.

python -m benchmarks.report [--data FOLDER --bundle BUNDLE]

Without arguments it first draws and indexes the images, which takes minutes. It measures complete
commands, including the start of Python, with query embeddings on disk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.record import record

ITEMS, QUERIES, SEED = 30_000, 5_000, 0


def main() -> None:
    """Create missing data, then measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of `tusou toy`, its test split")
    parser.add_argument("--bundle", type=Path, help="bundle of its images")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, bundle = arguments.data or folder / "data", arguments.bundle or folder / "bundle"
        images, queries = data / "MR_test_imgs.tsv", data / "MR_test_queries.jsonl"
        if not images.exists():
            sizes = ["--items", str(ITEMS), "--queries", str(QUERIES), "--seed", str(SEED)]
            timed("toy", str(data), *sizes, "--splits", "test")
        if not bundle.exists():
            timed("index", str(images), "--out", str(bundle), "--model", "demo")
        record("report", measure(folder, bundle, queries))


def measure(folder: Path, bundle: Path, queries: Path) -> dict[str, object]:
    """Return the wall time and the processor time of each command, in seconds."""
    run, cache, page = folder / "run.jsonl", folder / "cache", folder / "report.html"
    search = [str(bundle), "--answers", str(queries), "--cache", str(cache), "--save", str(run)]
    timed("evaluate", *search)  # fills the cache
    evaluated = timed("evaluate", *search, "--force")
    options = ["--answers", str(queries), "--bundle", str(bundle), "--out", str(page)]
    reported = timed("report", str(run), *options)
    return {
        "queries": len(queries.read_text(encoding="utf-8").splitlines()),
        "vectors": ITEMS,
        "evaluate_s": round(evaluated[0], 1),
        "evaluate_cpu_s": round(evaluated[1], 1),
        "report_s": round(reported[0], 1),
        "report_cpu_s": round(reported[1], 1),
        "both_s": round(evaluated[0] + reported[0], 1),
        "load_before": round(os.getloadavg()[0], 1),
        "page_bytes": page.stat().st_size,
    }


def timed(verb: str, *arguments: str) -> tuple[float, float]:
    """Run a command; return its wall time and its processor time with children, in seconds."""
    before, started = os.times(), perf_counter()
    subprocess.run([sys.executable, "-m", "tusou", verb, *arguments], check=True, stdout=sys.stderr)
    after = os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    return perf_counter() - started, used


if __name__ == "__main__":
    main()
