"""Makes a ladder: halves the queries, climbs, and writes the best bundle with what it gains."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest, OutputExists
from tusou.core.files import replace_folder, write_file
from tusou.core.hardware import describe_machine
from tusou.evaluation.judgments import Judgments, read_judgments
from tusou_lab.evaluate.bundle_queries import read_text_queries
from tusou_lab.evaluate.validate import (
    check_coverage,
    find_unjudged,
    list_ids,
    raise_problems,
    require_answers,
)
from tusou_lab.improve.climb import Climb, climb
from tusou_lab.improve.command_log import log_commands
from tusou_lab.improve.cost import measure_cost
from tusou_lab.improve.gains import METRICS, measure_gains
from tusou_lab.improve.halves import split_halves
from tusou_lab.improve.index_rungs import index_command
from tusou_lab.improve.ladder import BUNDLE, LADDER, BestBundle, Ladder, write_ladder
from tusou_lab.improve.query_bank import count_shared
from tusou_lab.improve.recipes import BundleMaker, Recipe
from tusou_lab.improve.run_folder import PLAIN, RunFolder
from tusou_lab.improve.rungs import Standing, Tools
from tusou_lab.improve.tables import write_page
from tusou_lab.improve.trials import TrialRunner
from tusou_lab.improve.try_list import TryOptions, needs_source, parse_try_list
from tusou_lab.run_commands import CommandRunner

FEW_QUERIES = 100  # of a half: below, only large gains can be confirmed
_WORK, _INPUTS = "work", "inputs.json"


@dataclass(frozen=True, slots=True)
class ImproveSpec:
    """The rungs to try, and the answers to try them on."""

    answers: str
    rungs: tuple[str, ...]  # as `--try` gives them
    options: TryOptions = field(default_factory=TryOptions)
    seed: int = 0
    interpret: bool = True  # subtract what a text refuses, as the service does by default
    costs: bool = True  # measure milliseconds and memory, which takes half a minute a rung

    @property
    def words(self) -> tuple[str, ...]:
        """The options of the command line, without answers and output."""
        literal = () if self.interpret else ("--no-interpret",)
        rungs = ("--try", ",".join(self.rungs))
        return (*rungs, *self.options.words, "--seed", str(self.seed), *literal)


def improve(
    root: Path, spec: ImproveSpec, out: Path, progress: Progress, *, force: bool = False
) -> Ladder:
    """Try stages on a bundle of images, and write the ladder and the best bundle.

    A second call with the same bundle, answers and rungs continues where the first was stopped.
    Raises OutputExists when `out` holds a finished ladder or other inputs, unless `force` is set;
    InvalidRequest for rungs that cannot be tried; BadDataset for queries that cannot be used.
    """
    started = perf_counter()
    bundle = Bundle.open(root)
    judgments = _read_answers(bundle, spec, root)
    halves = split_halves(judgments, spec.seed)
    rungs = parse_try_list(spec.rungs, spec.options, bundle)
    source, options = index_command(bundle, root) if needs_source(rungs) else ("", ())
    notes = _notes(spec, judgments, len(halves.confirming))
    _claim(out, _inputs(bundle, spec, judgments), force=force)
    maker = BundleMaker(
        root, out / _WORK / "bundles", CommandRunner(log_commands(out)), source, options
    )
    trials = TrialRunner(out / _WORK, spec.answers, judgments, halves, interpret=spec.interpret)
    runs = RunFolder(out, judgments, halves)
    runs.write_answers()
    plain = Standing(Recipe(), root, trials.search(root, PLAIN))
    runs.save(PLAIN, plain.trial.run)
    texts = [row.text for row in judgments.rows if row.text is not None]
    measured = partial(measure_cost, root, texts=texts, interpret=spec.interpret)
    cost = measured if spec.costs else _no_cost
    climbed = climb(plain, rungs, Tools(maker, trials, runs), cost, progress)
    best = _write_best(out, plain, climbed, maker, runs)
    ladder = Ladder(
        bundle=bundle.version,
        model=bundle.model_name,
        items=bundle.item_count,
        answers=spec.answers,
        options=spec.words,
        seed=spec.seed,
        choosing=len(halves.choosing),
        confirming=len(halves.confirming),
        plain={
            name: 100 * float(plain.trial.values[name][halves.confirming].mean())
            for name in METRICS
        },
        alone=climbed.alone,
        together=climbed.together,
        best=best,
        tests=climbed.tests,
        notes=notes,
        machine=describe_machine(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        seconds=round(perf_counter() - started, 1),
    )
    write_page(out, ladder)
    write_ladder(out, ladder)
    return ladder


def _read_answers(bundle: Bundle, spec: ImproveSpec, root: Path) -> Judgments:
    answers = spec.answers
    if bundle.items != "images":
        raise InvalidRequest(f"{root} holds texts; `tusou improve` takes a bundle of images")
    judgments = read_judgments(answers, "text_to_image")
    if judgments.direction != "text_to_image":
        raise BadDataset(f"{answers} holds images to search with; give texts with their items")
    require_answers(judgments)
    raise_problems([*find_unjudged(judgments)])
    check_coverage(judgments, list_ids(bundle), root)
    read_text_queries(judgments, 1, interpret=spec.interpret)  # refuses what the service would
    return judgments


def _inputs(bundle: Bundle, spec: ImproveSpec, judgments: Judgments) -> str:
    """Return what trials depend on, as text."""
    rows = [[row.query_id, row.text, row.correct] for row in judgments.rows]
    return json.dumps(
        {
            "bundle": bundle.version,
            "answers": sha256(json.dumps(rows).encode()).hexdigest(),
            "seed": spec.seed,
            "interpret": spec.interpret,
        }
    )


def _claim(out: Path, inputs: str, *, force: bool) -> None:
    """Prepare the folder; keep the trials of a run of the same inputs that was stopped."""
    path = out / _WORK / _INPUTS
    if (out / LADDER).exists() and not force:
        raise OutputExists(f"{out} holds a ladder; pass --force to replace it, or another --out")
    same = path.exists() and path.read_text("utf-8") == inputs
    if out.exists() and any(out.iterdir()) and not same:
        if not force:
            raise OutputExists(
                f"{out} holds other files than those of a stopped run with the same bundle, "
                "answers, --seed and --no-interpret; pass --force to replace them, or another --out"
            )
        replace_folder(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, inputs.encode())


def _write_best(
    out: Path,
    plain: Standing,
    climbed: Climb,
    maker: BundleMaker,
    runs: RunFolder,
) -> BestBundle:
    root = maker.make(climbed.top.recipe, out / BUNDLE)
    positions = runs.halves.confirming
    return BestBundle(
        version=Bundle.open(root).version,
        rungs=climbed.taken,
        settings=climbed.top.recipe.text,
        gains=measure_gains(plain.trial.values, climbed.top.trial.values, positions),
        cost=climbed.cost,
    )


def _no_cost(_root: Path) -> None:
    return None


def _notes(spec: ImproveSpec, judgments: Judgments, confirming: int) -> dict[str, dict[str, int]]:
    notes = {"few_queries": {"queries": confirming}} if confirming < FEW_QUERIES else {}
    if spec.options.query_bank is not None:
        shared, bank = count_shared(spec.options.query_bank, judgments)
        if shared:
            notes["bank_overlap"] = {"shared": shared, "bank": bank}
    return notes
