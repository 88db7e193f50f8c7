"""Measures a model on the official MUGE files, through the real commands and a real service.

OUT/bundle/                 the index of the valid pool
OUT/valid_pred.jsonl        what the service returned for the valid queries
OUT/ladder/                 with a ladder, what `tusou improve` wrote
OUT/reproduction.json       the report
OUT/reproduction.md         the report, to read
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tusou import __version__
from tusou.cli.progress import progress
from tusou.core.errors import BadDataset, OutputExists
from tusou.core.files import replace_folder, write_file
from tusou.core.hardware import describe_machine
from tusou.data import split_source
from tusou.encoders import find_weights
from tusou_lab.improve.ladder import LADDER as LADDER_FILE
from tusou_lab.reproduce.page import write_page
from tusou_lab.reproduce.published import (
    METRICS,
    OFFICIAL_VALID,
    DataSize,
    Training,
    family_of,
    published_rows,
)
from tusou_lab.reproduce.report import LadderLine, Reproduction
from tusou_lab.run_commands import CommandRunner, Echo, serving
from tusou_lab.walkthrough.exercise import check_apart, find_dataset
from tusou_lab.walkthrough.muge import split_sources

BUNDLE, PREDICTIONS, LADDER = "bundle", "valid_pred.jsonl", "ladder"
REPORT, PAGE = "reproduction.json", "reproduction.md"
_MARKER = ".tusou-reproduce"


@dataclass(frozen=True, slots=True)
class ReproduceSpec:
    """The official files, the model, and what to compare it with."""

    data: str  # the folder of the files
    model: str
    training: Training = "zero-shot"  # of the published row to compare with
    device: str = "auto"
    ladder: bool = False  # try stages with `tusou improve`
    rungs: tuple[str, ...] = ()  # to try; by default feedback, and hub with queries of train


def reproduce(spec: ReproduceSpec, out: Path, echo: Echo, *, force: bool = False) -> Reproduction:
    """Index the valid pool, replay the valid queries through a service, and score the results.

    Run again after a kill, it continues; `force` empties the folder first. Raises OutputExists if
    the folder holds something else, BadDataset for other data, and CommandFailed when a step
    fails.
    """
    check_apart(out, split_source(spec.data)[0])
    sources = split_sources(spec.data, drawn=False)
    if "valid" not in sources:
        raise BadDataset(f"{spec.data} has no split valid, on which the figures are published")
    with progress():  # a download, if the model is not here; each command shows its own
        weights = find_weights(spec.model)
    _claim(out, force=force)
    pool, queries = sources["valid"]
    runner = CommandRunner(echo)
    bundle, predictions = out / BUNDLE, out / PREDICTIONS
    options = ["--model", spec.model, "--device", spec.device, "--index", "Flat"]
    runner.run("index", pool, "--out", str(bundle), *options)
    # As published: an exact search, and every text as it is written.
    as_published = ["--no-interpret", "--force"]
    with serving(bundle, runner) as url:
        runner.run("replay", queries, "--out", str(predictions), "--url", url, *as_published)
    scored = runner.run_evaluate(predictions, "--answers", queries, "--pool", pool)
    manifest: dict[str, Any] = json.loads(runner.run("info", str(bundle), "--json", quiet=True))
    ladder = _climb(spec, bundle, queries, out / LADDER, runner) if spec.ladder else ()
    family = family_of(weights)
    report = Reproduction(
        model=manifest["model"]["name"],
        model_sha256=manifest["model"]["sha256"],
        family=family,
        size=DataSize(scored["queries"], manifest["counts"]["items"]),
        official=OFFICIAL_VALID,
        failed_items=manifest["counts"]["failed"],
        percent={name: scored["percent"][name] for name in METRICS},
        interval={name: tuple(scored["interval"][name]) for name in METRICS},
        published=published_rows(family),
        training=spec.training,
        bundle=manifest["version"],
        index=f"{manifest['index']['factory']} {manifest['index']['tuning']}".strip(),
        precision=str(manifest["build"].get("precision", "")),
        ladder=ladder,
        machine=describe_machine(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        tusou=__version__,
        seconds={verb: round(seconds, 1) for verb, seconds in runner.seconds.items()},
    )
    content = {**asdict(report), "verdict": report.verdict, "differences": report.differences}
    write_file(out / REPORT, json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n")
    write_file(out / PAGE, write_page(report).encode())
    return report


def _claim(out: Path, *, force: bool) -> None:
    """Make the folder, or take that of an earlier run; `force` empties it."""
    if out.is_dir() and any(out.iterdir()) and not (out / _MARKER).exists():
        raise OutputExists(f"{out} holds other files than those of an earlier run; give another")
    if force or not out.is_dir():
        replace_folder(out)
    (out / _MARKER).touch()


def _train_queries(data: str) -> str | None:
    """Return the queries of train, if the data has them: those of valid would fit themselves."""
    path, dataset = find_dataset(data)
    file = Path(path) / "MR_train_queries.jsonl"
    if file.exists():
        return str(file)
    return f"{path}#train" if "train" in dataset.splits() else None


def _climb(
    spec: ReproduceSpec, bundle: Path, queries: str, folder: Path, runner: CommandRunner
) -> tuple[LadderLine, ...]:
    """Try stages with `tusou improve` on the same answers, and return a line for each rung."""
    bank = _train_queries(spec.data)
    rungs = spec.rungs or (("feedback", "hub") if bank else ("feedback",))
    words = ["--answers", queries, "--try", ",".join(rungs), "--out", str(folder)]
    words += ["--query-bank", bank] if bank else []
    if (folder / LADDER_FILE).exists():  # finished, and not to be continued
        words.append("--force")
    ladder: dict[str, Any] = json.loads(
        runner.run("improve", str(bundle), *words, "--json", quiet=True)
    )
    return tuple(LadderLine.of(rung) for rung in (*ladder["alone"], *ladder["together"]))
