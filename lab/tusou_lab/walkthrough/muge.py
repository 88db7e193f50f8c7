"""The MUGE retrieval contest, from its files to a submission."""

import json
from pathlib import Path

from tusou_lab.run_commands import CommandRunner, serving
from tusou_lab.walkthrough.exercise import ExerciseSpec


def walk(
    folder: Path, spec: ExerciseSpec, steps: CommandRunner
) -> tuple[dict[str, dict[str, float]], tuple[Path, ...]]:
    """Measure on valid, answer test, check and pack that, and open the sealed answers."""
    data, valid, test = folder / "data", folder / "valid", folder / "test"
    images, queries = "MR_{}_imgs.tsv", "MR_{}_queries.jsonl"
    asked = data / queries.format("test")
    steps.run("toy", str(data), *spec.arguments, "--splits", "valid,test")
    sealed = _seal(asked, folder / "sealed_answers.jsonl")

    steps.run("index", str(data / images.format("valid")), "--out", str(valid), "--model", "demo")
    judged = ["--answers", str(data / queries.format("valid")), "--json"]
    on_valid = steps.run("evaluate", str(valid), *judged, quiet=True)

    predictions = folder / "test_pred.jsonl"
    pool = str(data / images.format("test"))
    steps.run("index", pool, "--out", str(test), "--model", "demo")
    with serving(test, steps) as url:
        steps.run("replay", str(asked), "--out", str(predictions), "--url", url)
    packed = predictions.with_suffix(".zip")
    fits = ["--answers", str(asked), "--pool", pool, "--check"]
    steps.run("evaluate", str(predictions), *fits, "--save", str(packed))

    opened = ["--answers", str(sealed), "--pool", pool, "--json"]
    on_test = steps.run("evaluate", str(predictions), *opened, quiet=True)
    metrics = {
        "valid": json.loads(on_valid)["percent"],
        "test": json.loads(on_test)["percent"],
    }
    return metrics, (predictions, packed)


def _seal(asked: Path, sealed: Path) -> Path:
    """Put test's answers aside: a contestant gets its queries alone."""
    text = asked.read_text(encoding="utf-8")
    sealed.write_text(text, encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    bare = ({key: row[key] for key in ("query_id", "query_text")} for row in rows)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in bare)
    asked.write_text("".join(lines), encoding="utf-8")
    return sealed
