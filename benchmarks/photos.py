"""Index a folder of real photos, serve it, replay its queries over HTTP, score the answers.

    python -m benchmarks.photos DATA --model demo [--images originals_imgs.tsv]

DATA holds MUGE files; the answers are those of its valid split.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.record import record
from benchmarks.running import service

TUSOU = [sys.executable, "-m", "tusou"]


def main() -> None:
    """Run and record under the name of the data and the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--images", default="MR_valid_imgs.tsv")
    parser.add_argument("--queries", default="MR_valid_queries.jsonl")
    parser.add_argument("--name", required=True, help="of the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    record("photos", figures, kept_as=f"photos_{arguments.name}")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Return the counts of the bundle and the metrics in percent."""
    images, queries = arguments.data / arguments.images, arguments.data / arguments.queries
    bundle, predictions = folder / "bundle", folder / "pred.jsonl"
    built = _tusou("index", images, "--out", bundle, "--model", arguments.model, "--json")
    with service(bundle) as running:
        _tusou("replay", queries, "--out", predictions, "--url", running.url)
    scored = _tusou("evaluate", predictions, "--answers", queries, "--pool", images, "--json")
    wanted = ("hit@1", "hit@5", "hit@10", "mean_recall", "precision@10")
    return {
        "items": built["embedded"],
        "failed": built["failed"],
        "queries": scored["queries"],
        "percent": {name: round(scored["percent"][name], 2) for name in wanted},
    }


def _tusou(*words: object) -> dict[str, object]:
    command = [*TUSOU, *map(str, words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return json.loads(done.stdout) if "--json" in command else {}


if __name__ == "__main__":
    main()
