"""The accuracy of the relevance of hits, and its cost for a search.

    python -m benchmarks.calibration DATA --model demo --name toy [--split test]

DATA holds MUGE files. The figures are of queries that fitted nothing: five parts, each judged by
curves fitted on the other four. The answers of half of them are to a pool without the right items.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.record import record
from tusou.evaluation.judgments import read_judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query
from tusou.text.normalize import normalize_query

TUSOU = [sys.executable, "-m", "tusou"]
ROUNDS, QUERIES_TIMED = 15, 200


def main() -> None:
    """Calibrate a bundle of DATA, and record under --name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--split", default="test")
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--bundle", type=Path, help="the bundle of these images, if it is there")
    parser.add_argument("--name", required=True, help="of the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    record("calibration", figures, file_name=f"calibration_{arguments.name}")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Return the figures of a calibration, and the cost of a search with and without it."""
    images = arguments.data / f"MR_{arguments.split}_imgs.tsv"
    queries = arguments.data / f"MR_{arguments.split}_queries.jsonl"
    plain, calibrated = folder / "plain", folder / "calibrated"
    if arguments.bundle:
        shutil.copytree(arguments.bundle, plain)
    else:
        _tusou("index", images, "--out", plain, "--model", arguments.model)
    scored = _tusou("evaluate", plain, "--answers", queries, "--json")["percent"]
    fitted = _tusou(
        *("calibrate", plain, "--answers", queries, "--out", calibrated),
        *("--kind", arguments.kind, "--json"),
    )
    del fitted["version"]
    hits = {name: round(scored[name], 2) for name in ("hit@1", "hit@10")}
    return {**hits, **_rounded(fitted), "cost": time_searches(plain, calibrated, queries)}


def time_searches(plain: Path, calibrated: Path, queries: Path) -> dict[str, float]:
    """Return the milliseconds of a search in this process: the fastest of rounds in turn."""
    texts = [row.text for row in read_judgments(queries).rows[:QUERIES_TIMED] if row.text]
    asked = [Query.of_text(normalize_query(text), 10) for text in texts]
    pipelines = {
        "plain_ms": SearchPipeline.open(plain, cache_size=1000),
        "calibrated_ms": SearchPipeline.open(calibrated, cache_size=1000),
    }
    rounds: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(ROUNDS):
        for name, pipeline in pipelines.items():
            rounds[name].append(median(_time(pipeline, query) for query in asked))
    best = {name: min(values) for name, values in rounds.items()}
    added = best["calibrated_ms"] - best["plain_ms"]
    return {name: round(value, 4) for name, value in {**best, "added_ms": added}.items()}


def _time(pipeline: SearchPipeline, query: Query) -> float:
    started = perf_counter()
    pipeline.search([query])
    return 1000 * (perf_counter() - started)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _tusou(*arguments: object) -> dict[str, Any]:
    command = [*TUSOU, *map(str, arguments)]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return json.loads(process.stdout) if "--json" in command else {}


if __name__ == "__main__":
    main()
