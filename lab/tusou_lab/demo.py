"""The demo: the main job on drawn data, with the real commands as processes and over HTTP."""

import json
from dataclasses import dataclass
from pathlib import Path

from tusou_lab.run_commands import CommandRunner, Echo, claim_folder, serving

SHOWN_QUERY = "纯棉碎花吊带裙"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The size of a demo, its scores and the seconds of each step."""

    items: int
    queries: int
    metrics: dict[str, float]  # percent
    seconds: dict[str, float]  # by verb


@dataclass(frozen=True, slots=True)
class DemoSpec:
    """The size of a demo."""

    items: int = 3000
    queries: int = 300
    seed: int = 2024


def run_demo(folder: Path, spec: DemoSpec, echo: Echo, *, force: bool) -> DemoReport:
    """Draw a pool, index, verify and serve it, search it, replay its queries and score them.

    Writes `data/`, `bundle/` and `pred.jsonl` into the folder. Raises OutputExists if the folder
    holds other files, CommandFailed when a step fails.
    """
    claim_folder(folder, force=force)
    data, bundle, predictions = folder / "data", folder / "bundle", folder / "pred.jsonl"
    images, queries = data / "MR_test_imgs.tsv", data / "MR_test_queries.jsonl"
    runner = CommandRunner(echo)
    size = ["--items", str(spec.items), "--queries", str(spec.queries), "--seed", str(spec.seed)]
    runner.run("toy", str(data), *size, "--splits", "test")
    runner.run("index", str(images), "--out", str(bundle), "--model", "demo")
    runner.run("verify", str(bundle))
    with serving(bundle, runner) as url:
        runner.run("query", SHOWN_QUERY, "--url", url, "--top-k", "5")
        runner.run("replay", str(queries), "--out", str(predictions), "--url", url)
    options = ["--answers", str(queries), "--pool", str(images), "--json"]
    result = json.loads(runner.run("evaluate", str(predictions), *options, quiet=True))
    return DemoReport(spec.items, result["queries"], result["percent"], runner.seconds)
