"""The demo: the main job on drawn data, with the real commands as processes and over HTTP."""

from dataclasses import dataclass
from pathlib import Path

from tusou_lab.run_commands import CommandRunner, Echo, ToySize, claim_folder, serving

SHOWN_QUERY = "纯棉碎花吊带裙"
PREDICTIONS = "test_pred.jsonl"  # as the MUGE contest calls it


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The size of a demo, its scores and the seconds of each step."""

    items: int
    queries: int
    metrics: dict[str, float]  # percent
    seconds: dict[str, float]  # by verb


def run_demo(folder: Path, size: ToySize, echo: Echo, *, force: bool) -> DemoReport:
    """Draw a pool, index, verify and serve it, search it, replay its queries and score them.

    Writes `data/`, `bundle/` and `test_pred.jsonl` into the folder. Raises OutputExists if the
    folder holds other files, CommandFailed when a step fails.
    """
    claim_folder(folder, force=force)
    data, bundle, predictions = folder / "data", folder / "bundle", folder / PREDICTIONS
    images, queries = data / "MR_test_imgs.tsv", data / "MR_test_queries.jsonl"
    attributes = "--attributes", str(data / "MR_test_attributes.jsonl")
    runner = CommandRunner(echo)
    runner.run("toy", str(data), *size.options, "--splits", "test")
    runner.run("index", str(images), *attributes, "--out", str(bundle), "--model", "demo")
    runner.run("verify", str(bundle))
    with serving(bundle, runner) as url:
        runner.run("query", SHOWN_QUERY, "--url", url, "--top-k", "5")
        runner.run("replay", str(queries), "--out", str(predictions), "--url", url)
    result = runner.run_evaluate(predictions, "--answers", str(queries), "--pool", str(images))
    return DemoReport(size.items, result["queries"], result["percent"], dict(runner.seconds))
