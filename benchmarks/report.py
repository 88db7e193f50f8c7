"""How long 5,000 queries against 30,000 vectors take to evaluate, and their report to be written.

python -m benchmarks.report [--data FOLDER --bundle BUNDLE]

Without arguments it draws the images and indexes them first, which takes minutes. Measured are
whole commands, from the start of Python to its end; the queries' embeddings are on disk.
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
    """Draw and index what was not given, evaluate twice, report, record."""
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
    """Return seconds on the clock, and of all cores together, of each command."""
    run, cache, page = folder / "run.jsonl", folder / "cache", folder / "report.html"
    asked = [str(bundle), "--answers", str(queries), "--cache", str(cache), "--save", str(run)]
    timed("evaluate", *asked)  # leaves the embeddings
    evaluated = timed("evaluate", *asked, "--force")
    given = ["--answers", str(queries), "--bundle", str(bundle), "--out", str(page)]
    reported = timed("report", str(run), *given)
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


def timed(verb: str, *words: str) -> tuple[float, float]:
    """Run a command; give its seconds on the clock, and its and its children's of processor."""
    before, started = os.times(), perf_counter()
    subprocess.run([sys.executable, "-m", "tusou", verb, *words], check=True, stdout=sys.stderr)
    after = os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    return perf_counter() - started, used


if __name__ == "__main__":
    main()
