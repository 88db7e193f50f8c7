"""The main job on drawn data, through the real commands as processes and through HTTP."""

import json
from dataclasses import dataclass
from pathlib import Path

from tusou_lab.run_commands import CommandRunner, Say, claim_folder, serving

SHOWN_QUERY = "纯棉碎花吊带裙"


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo did, in seconds, and how well the demo model found."""

    items: int
    queries: int
    metrics: dict[str, float]  # percent
    seconds: dict[str, float]  # by step


@dataclass(frozen=True, slots=True)
class DemoSpec:
    """How large a demo."""

    items: int = 3000
    queries: int = 300
    seed: int = 2024


def run_demo(folder: Path, spec: DemoSpec, say: Say, *, force: bool) -> DemoReport:
    """Draw a pool, index it, verify it, serve it, ask it, replay its queries and score them.

    Writes `data/`, `bundle/` and `pred.jsonl` into the folder. Raises OutputExists for a folder
    of something else, CommandFailed when a step fails.
    """
    claim_folder(folder, force=force)
    data, bundle, predictions = folder / "data", folder / "bundle", folder / "pred.jsonl"
    images, asked = data / "MR_test_imgs.tsv", data / "MR_test_queries.jsonl"
    steps = CommandRunner(say)
    size = ["--items", str(spec.items), "--queries", str(spec.queries), "--seed", str(spec.seed)]
    steps.run("toy", str(data), *size, "--splits", "test")
    steps.run("index", str(images), "--out", str(bundle), "--model", "demo")
    steps.run("verify", str(bundle))
    with serving(bundle, steps) as url:
        steps.run("query", SHOWN_QUERY, "--url", url, "--top-k", "5")
        steps.run("replay", str(asked), "--out", str(predictions), "--url", url)
    judged = ["--answers", str(asked), "--pool", str(images), "--json"]
    result = json.loads(steps.run("evaluate", str(predictions), *judged, quiet=True))
    return DemoReport(spec.items, result["queries"], result["percent"], steps.seconds)
