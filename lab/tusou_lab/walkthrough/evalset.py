"""An evaluation set for a domain, and how near its estimates are to the truth.

The products are drawn, so their attributes say of every pair whether it is correct: a set of
drawn judgments is built, and beside it one in which every pair is judged.
"""

import json
from pathlib import Path
from typing import Any

from tusou_lab.run_commands import CommandRunner
from tusou_lab.walkthrough.exercise import ExerciseInputs, Metrics

_PROMPT = "这是一张关于{query}的照片，背景干净"  # the demo model was trained without any
_DOMAIN = {"name": "商品", "from_pool": {"concepts": "category", "attributes": ["tags"]}}
_DEPTH = 100
_SHARE = 0.055  # of all pairs, drawn from those that no system found
_CORRECT = ("--correct-from", "3")  # an item that passes the query's whole filter


def run(
    folder: Path, inputs: ExerciseInputs, runner: CommandRunner
) -> tuple[Metrics, tuple[Path, ...]]:
    """Plan, pool, judge, compare judges, build, and evaluate two systems; then judge everything.

    Returns the estimates, their intervals and the truth of each system; the data is always drawn.
    """
    systems = _index(folder, inputs, runner)
    pool, domain = systems["plain"], folder / "domain.json"
    content = {**_DOMAIN, "budget": inputs.size.queries}
    domain.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

    set_folder, built, page = folder / "set", folder / "built", folder / "review.html"
    _plan(domain, set_folder, pool, inputs, runner)
    options = [word for path in systems.values() for word in ("--systems", str(path))]
    unranked = f"{_SHARE * inputs.size.items:g}"
    options += ["--ranked", "30", "--unranked", unranked]
    runner.run("evalset pool", str(set_folder), "--bundle", str(pool), *options)
    runner.run("evalset judge", str(set_folder), "--judge", "attributes")
    runner.run("evalset judge", str(set_folder), "--judge", "clip")
    runner.run("evalset agree", str(set_folder), *_CORRECT)
    runner.run("evalset review", str(set_folder), "--person", "李雷", "--out", str(page))
    _build(set_folder, built, runner)

    everything, truth = folder / "everything", folder / "truth"
    _plan(domain, everything, pool, inputs, runner)
    options = ["--systems", str(pool), "--depth", "1", "--certain", "1"]
    options += ["--unranked", str(inputs.size.items)]
    runner.run("evalset pool", str(everything), "--bundle", str(pool), *options)
    runner.run("evalset judge", str(everything), "--judge", "attributes")
    _build(everything, truth, runner)

    depth = min(_DEPTH, inputs.size.items)
    metrics = {
        name: _compare(*(_evaluate(path, answers, depth, runner) for answers in (built, truth)))
        for name, path in systems.items()
    }
    table = folder / "estimates.md"
    table.write_text(format_table(metrics), encoding="utf-8")
    return metrics, (table, built / "README.md", page)


def _index(folder: Path, inputs: ExerciseInputs, runner: CommandRunner) -> dict[str, Path]:
    """Index the drawn images twice: as they are, calibrated, and with a prompt for queries."""
    data = folder / "data"
    images, attributes = str(data / "MR_test_imgs.tsv"), str(data / "MR_test_attributes.jsonl")
    plain, prompted = folder / "plain", folder / "prompted"
    runner.run("toy", str(data), *inputs.size.options, "--splits", "test")
    options = ["--attributes", attributes, *inputs.index_options]
    runner.run("index", images, "--out", str(plain), *options)
    runner.run("calibrate", str(plain), "--answers", str(data / "MR_test_queries.jsonl"))
    options = ["--prompt", _PROMPT, "--reuse", str(plain), *inputs.index_options]
    runner.run("index", images, "--out", str(prompted), *options)
    return {"plain": plain, "prompted": prompted}


def _plan(
    domain: Path, out: Path, pool: Path, inputs: ExerciseInputs, runner: CommandRunner
) -> None:
    options = ["--bundle", str(pool), "--seed", str(inputs.size.seed)]
    runner.run("evalset plan", str(domain), "--out", str(out), *options)


def _build(set_folder: Path, out: Path, runner: CommandRunner) -> None:
    options = ["--judge", "attributes", *_CORRECT, "--no-images"]
    runner.run("evalset build", str(set_folder), "--out", str(out), *options)


def _evaluate(bundle: Path, answers: Path, depth: int, runner: CommandRunner) -> dict[str, Any]:
    return runner.run_evaluate(bundle, "--answers", str(answers), "--top-k", str(depth))


def _compare(estimated: dict[str, Any], truth: dict[str, Any]) -> dict[str, float]:
    """Return the estimates of a system with their intervals, and the truth, in percent.

    Where every pair is judged, the same estimate has no chance in it.
    """
    percent, interval = estimated["percent"], estimated["interval"]
    deepest = [name for name in percent if name.startswith("estimated_recall@")][-1]
    compared: dict[str, float] = {}
    for name in ("estimated_precision@10", deepest):
        low, high = interval[name]
        compared |= {name: percent[name], f"{name}_low": low, f"{name}_high": high}
        compared[name.removeprefix("estimated_")] = truth["percent"][name]
    return compared


def format_table(metrics: Metrics) -> str:
    """Return a table of the estimates of each system, their intervals and the truth."""
    lines = ["| system | metric | estimate | 95 % interval | truth |", "|---|---|---:|---:|---:|"]
    for system, values in metrics.items():
        for name in (name for name in values if f"{name}_low" in values):
            metric = name.removeprefix("estimated_")
            low, high = values[f"{name}_low"], values[f"{name}_high"]
            lines.append(
                f"| {system} | {metric} | {values[name]:.2f} % | {low:.2f} .. {high:.2f} | "
                f"{values[metric]:.2f} % |"
            )
    return "\n".join(lines) + "\n"
