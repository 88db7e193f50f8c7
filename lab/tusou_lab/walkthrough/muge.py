"""The MUGE retrieval contest, from its files to a submission."""

from pathlib import Path

from tusou_lab.run_commands import CommandRunner, ToySize, serving
from tusou_lab.walkthrough.exercise import Metrics, read_rows, write_bare_queries


def run(folder: Path, size: ToySize, runner: CommandRunner) -> tuple[Metrics, tuple[Path, ...]]:
    """Measure on valid, predict test, check and pack the predictions, and score them."""
    data, valid, test = folder / "data", folder / "valid", folder / "test"
    images, queries = "MR_{}_imgs.tsv", "MR_{}_queries.jsonl"
    test_queries = data / queries.format("test")
    runner.run("toy", str(data), *size.options, "--splits", "valid,test")
    # Contestants get the queries alone.
    sealed = test_queries.rename(folder / "sealed_answers.jsonl")
    write_bare_queries(test_queries, read_rows(sealed))

    valid_pool = str(data / images.format("valid"))
    runner.run("index", valid_pool, "--out", str(valid), "--model", "demo")
    valid_queries = str(data / queries.format("valid"))
    valid_report = runner.run_evaluate(valid, "--answers", valid_queries)

    predictions = folder / "test_pred.jsonl"
    pool = str(data / images.format("test"))
    runner.run("index", pool, "--out", str(test), "--model", "demo")
    with serving(test, runner) as url:
        runner.run("replay", str(test_queries), "--out", str(predictions), "--url", url)
    packed = predictions.with_suffix(".zip")
    options = ["--answers", str(test_queries), "--pool", pool, "--check"]
    runner.run("evaluate", str(predictions), *options, "--save", str(packed))

    test_report = runner.run_evaluate(predictions, "--answers", str(sealed), "--pool", pool)
    metrics = {"valid": valid_report["percent"], "test": test_report["percent"]}
    return metrics, (predictions, packed)
