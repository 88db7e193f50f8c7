"""The MUGE retrieval contest, from its files to a submission."""

from pathlib import Path

from tusou.core.errors import BadDataset
from tusou_lab.run_commands import CommandRunner, serving
from tusou_lab.walkthrough.exercise import (
    ExerciseInputs,
    Metrics,
    find_dataset,
    read_rows,
    write_bare_queries,
)


def run(
    folder: Path, inputs: ExerciseInputs, runner: CommandRunner
) -> tuple[Metrics, tuple[Path, ...]]:
    """Measure on valid, predict test, check and pack the predictions, and score them.

    The user's data may lack valid or test; the test split of the contest has no judgments.
    """
    sealed = folder / "sealed_answers.jsonl"
    data = inputs.data or _draw(folder, sealed, inputs, runner)
    splits = split_sources(data, drawn=inputs.data is None)
    metrics: Metrics = {}
    if "valid" in splits:
        pool, queries = splits["valid"]
        valid = folder / "valid"
        runner.run("index", pool, "--out", str(valid), *inputs.index_options)
        metrics["valid"] = runner.run_evaluate(valid, "--answers", queries)["percent"]
    if "test" not in splits:
        return metrics, ()

    pool, queries = splits["test"]
    test, predictions = folder / "test", folder / "test_pred.jsonl"
    runner.run("index", pool, "--out", str(test), *inputs.index_options)
    with serving(test, runner) as url:
        runner.run("replay", queries, "--out", str(predictions), "--url", url)
    packed = predictions.with_suffix(".zip")
    options = ["--answers", queries, "--pool", pool, "--check"]
    runner.run("evaluate", str(predictions), *options, "--save", str(packed))
    if sealed.exists():
        report = runner.run_evaluate(predictions, "--answers", str(sealed), "--pool", pool)
        metrics["test"] = report["percent"]
    return metrics, (predictions, packed)


def _draw(folder: Path, sealed: Path, inputs: ExerciseInputs, runner: CommandRunner) -> str:
    """Draw both splits, and put the judgments of test aside: contestants get the queries alone."""
    data = folder / "data"
    runner.run("toy", str(data), *inputs.size.options, "--splits", "valid,test")
    test_queries = data / "MR_test_queries.jsonl"
    test_queries.rename(sealed)
    write_bare_queries(test_queries, read_rows(sealed))
    return str(data)


def split_sources(data: str, *, drawn: bool) -> dict[str, tuple[str, str]]:
    """Return the pool and the queries of each split; BadDataset if there is no valid and no test.

    The contest's files are named one by one, data of other formats as `DATA#SPLIT`.
    """
    path, dataset = (data, None) if drawn else find_dataset(data)
    splits = {}
    for split in ("valid", "test"):
        images, queries = (Path(path) / f"MR_{split}_{part}" for part in _FILES)
        if images.exists() and queries.exists():
            splits[split] = (str(images), str(queries))
        elif dataset is not None and split in dataset.splits():
            splits[split] = (f"{path}#{split}",) * 2
    if not splits:
        raise BadDataset(f"{data}: it has neither a split valid nor a split test")
    return splits


_FILES = ("imgs.tsv", "queries.jsonl")
