"""The MUGE retrieval contest, from its files to a submission."""

import json
from pathlib import Path

from tusou_lab.run_commands import CommandRunner, serving
from tusou_lab.walkthrough.exercise import ExerciseSpec


def run(
    folder: Path, spec: ExerciseSpec, runner: CommandRunner
) -> tuple[dict[str, dict[str, float]], tuple[Path, ...]]:
    """Measure on valid, predict test, check and pack the predictions, and score them."""
    data, valid, test = folder / "data", folder / "valid", folder / "test"
    images, queries = "MR_{}_imgs.tsv", "MR_{}_queries.jsonl"
    test_queries = data / queries.format("test")
    runner.run("toy", str(data), *spec.toy_options, "--splits", "valid,test")
    sealed = _seal(test_queries, folder / "sealed_answers.jsonl")

    valid_pool = str(data / images.format("valid"))
    runner.run("index", valid_pool, "--out", str(valid), "--model", "demo")
    options = ["--answers", str(data / queries.format("valid")), "--json"]
    valid_report = runner.run("evaluate", str(valid), *options, quiet=True)

    predictions = folder / "test_pred.jsonl"
    pool = str(data / images.format("test"))
    runner.run("index", pool, "--out", str(test), "--model", "demo")
    with serving(test, runner) as url:
        runner.run("replay", str(test_queries), "--out", str(predictions), "--url", url)
    packed = predictions.with_suffix(".zip")
    options = ["--answers", str(test_queries), "--pool", pool, "--check"]
    runner.run("evaluate", str(predictions), *options, "--save", str(packed))

    options = ["--answers", str(sealed), "--pool", pool, "--json"]
    test_report = runner.run("evaluate", str(predictions), *options, quiet=True)
    metrics = {
        "valid": json.loads(valid_report)["percent"],
        "test": json.loads(test_report)["percent"],
    }
    return metrics, (predictions, packed)


def _seal(queries: Path, sealed: Path) -> Path:
    """Move the correct items of a query file to another file: contestants get queries alone."""
    text = queries.read_text(encoding="utf-8")
    sealed.write_text(text, encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    bare = ({key: row[key] for key in ("query_id", "query_text")} for row in rows)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in bare)
    queries.write_text("".join(lines), encoding="utf-8")
    return sealed
