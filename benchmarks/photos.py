"""Scores of real photos, indexed, served and queried over HTTP.

    python -m benchmarks.photos DATA --model demo [--images originals_imgs.tsv]

DATA holds MUGE files; the queries and correct items are those of its valid split.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import record
from benchmarks.running import service

TUSOU = [sys.executable, "-m", "tusou"]


def main() -> None:
    """Run and record under --name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--images", default="MR_valid_imgs.tsv")
    parser.add_argument("--queries", default="MR_valid_queries.jsonl")
    parser.add_argument("--top-k", type=int, default=10, help="less than 10 for a tiny pool")
    parser.add_argument("--unjudged", action="store_true", help="the pool has no correct items")
    parser.add_argument("--name", required=True, help="of the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    record("photos", figures, file_name=f"photos_{arguments.name}")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Return the counts of the bundle and the metrics in percent."""
    images, queries = arguments.data / arguments.images, arguments.data / arguments.queries
    bundle, predictions = folder / "bundle", folder / "test_pred.jsonl"
    built = _tusou("index", images, "--out", bundle, "--model", arguments.model, "--json")
    k = ["--top-k", str(arguments.top_k)]
    with service(bundle) as running:
        _tusou("replay", queries, "--out", predictions, "--url", running.url, *k)
    counts: dict[str, object] = {"items": built["embedded"], "failed": built["failed"]}
    if arguments.unjudged:
        return counts
    options = ["--answers", queries, "--pool", images, *k, "--json"]
    scored = _tusou("evaluate", predictions, *options)
    percent = {
        name: round(value, 2) for name, value in scored["percent"].items() if _is_recorded(name)
    }
    return {**counts, "queries": scored["queries"], "percent": percent}


def _is_recorded(name: str) -> bool:
    return name.startswith("hit@") or name in {"mean_recall", "precision@10"}


def _tusou(*arguments: object) -> dict[str, Any]:
    command = [*TUSOU, *map(str, arguments)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return json.loads(process.stdout) if "--json" in command else {}


if __name__ == "__main__":
    main()
