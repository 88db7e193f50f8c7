"""Fuses runs: reads them, fits weights if asked for, and writes one run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tusou.core.errors import InvalidRequest
from tusou.core.files import write_file
from tusou.core.ids import ItemId
from tusou.evaluation.judgments import Judgments, read_judgments, unify_id_types
from tusou.evaluation.runs import Run, RunHeader, format_run, quote_id, read_run
from tusou_lab.evaluate.validate import find_mismatches, raise_problems, require_answers
from tusou_lab.fuse.candidates import Candidates, collect_candidates
from tusou_lab.fuse.methods import Method, Normalisation, fused_scores, needs_scores
from tusou_lab.fuse.transductive import dual_softmax
from tusou_lab.fuse.weights import FittedWeights, Objective, fit_weights


@dataclass(frozen=True, slots=True)
class FusionSpec:
    """The options of a fusion."""

    method: Method = "rrf"
    normalisation: Normalisation = "minmax"
    weights: tuple[float, ...] = ()  # one per run; empty: equal, or fitted
    objective: Objective = "mean_recall"  # of fitted weights
    transductive: bool = False  # dual softmax over all queries first


@dataclass(frozen=True, slots=True)
class FusionReport:
    """The fused run, and how its weights were found."""

    out: Path
    queries: int
    depth: int
    method: Method
    weights: tuple[float, ...]
    fitted: FittedWeights | None
    transductive: bool
    run: Run = field(repr=False)


def fuse(
    sources: Sequence[Path],
    out: Path,
    spec: FusionSpec,
    answers: Path | str | None = None,
    fit_on: Sequence[Path] = (),
) -> FusionReport:
    """Fuse the runs of several systems over the same queries and write a run file.

    The method `weights` without weights fits them on `answers`, with the runs `fit_on` of the same
    systems in the same order, or with the fused runs themselves. Raises BadDataset for files that
    are not runs or do not have the same queries, and InvalidRequest for options that do not fit.
    """
    _check(spec, sources, answers, fit_on)
    with_scores = needs_scores(spec.method, spec.normalisation) or spec.transductive
    fitted = None
    if spec.method == "weights" and not spec.weights:
        assert answers is not None
        fitted = _fit(fit_on or sources, answers, spec, with_scores=with_scores)
    runs = _read_runs(sources)
    weights = np.array(spec.weights or (fitted.weights if fitted else (1.0,) * len(runs)))
    candidates = _candidates(runs, tuple(runs[0].rankings), spec, with_scores=with_scores)
    depth = max(run.depth for run in runs)
    rankings: dict[ItemId, tuple[ItemId, ...]] = {}
    scores: dict[ItemId, tuple[float, ...]] = {}
    for query in candidates:
        values = fused_scores(query, spec.method, spec.normalisation, weights)
        order = np.argsort(-values, kind="stable")[:depth]
        rankings[query.query_id] = tuple(query.items[row] for row in order.tolist())
        scores[query.query_id] = tuple(values[order].tolist())
    header = _header(sources, runs, spec, weights.tolist())
    run = Run(runs[0].lines, rankings, scores=scores, header=header)
    write_file(out, format_run(run).encode())
    return FusionReport(
        out,
        len(rankings),
        depth,
        spec.method,
        tuple(weights.tolist()),
        fitted,
        spec.transductive,
        run,
    )


def _check(
    spec: FusionSpec, sources: Sequence[Path], answers: Path | str | None, fit_on: Sequence[Path]
) -> None:
    if len(sources) < 2 and not spec.transductive:
        raise InvalidRequest("give at least two runs to fuse")
    if spec.weights and len(spec.weights) != len(sources):
        raise InvalidRequest(f"{len(spec.weights)} weights for {len(sources)} runs: give one each")
    if any(not 0 <= weight < np.inf for weight in spec.weights) or (
        spec.weights and not any(spec.weights)
    ):
        raise InvalidRequest("weights are numbers of 0 or more, and one of them above 0")
    if spec.method == "weights" and not spec.weights and answers is None:
        raise InvalidRequest("--method weights needs --weights, or --answers to fit them on")
    if fit_on and len(fit_on) != len(sources):
        raise InvalidRequest(
            f"{len(fit_on)} runs to fit on for {len(sources)} runs: give --fit once for each, in "
            "the same order"
        )


def _fit(
    sources: Sequence[Path], answers: Path | str, spec: FusionSpec, *, with_scores: bool
) -> FittedWeights:
    judgments = read_judgments(answers)
    require_answers(judgments)
    runs = _read_runs(sources)
    runs = [unify_id_types(run, judgments)[0] for run in runs]
    if runs[0].string_ids:
        _, judgments = unify_id_types(runs[0], judgments)
    problems = [
        problem
        for run, path in zip(runs, sources, strict=True)
        for problem in find_mismatches(run, path, judgments)
    ]
    raise_problems(problems, "fused")
    judged = [row for row in judgments.rows if row.grades is not None]
    queries = [row.query_id for row in judged]
    candidates = _candidates(runs, queries, spec, with_scores=with_scores)
    correct = [frozenset(row.correct) for row in judged]
    return fit_weights(candidates, correct, spec.normalisation, spec.objective)


def _read_runs(sources: Sequence[Path]) -> list[Run]:
    """Read all runs with ids of one type; BadDataset unless they have the same queries."""
    runs = [read_run(source) for source in sources]
    problems = [
        f"{source}:{line}: {problem}"
        for source, run in zip(sources, runs, strict=True)
        for line, problem in run.problems
    ]
    raise_problems(problems, "fused")
    if any(run.string_ids for run in runs):
        texts = Judgments(Path(), (), string_ids=True)
        runs = [unify_id_types(run, texts)[0] for run in runs]
    first, *others = zip(sources, runs, strict=True)
    for source, run in others:
        problems += _missing_queries(first, (source, run)) + _missing_queries((source, run), first)
    raise_problems(problems, "fused")
    return runs


def _missing_queries(of: tuple[Path, Run], other: tuple[Path, Run]) -> list[str]:
    (source, run), (place, compared) = of, other
    return [
        f"{source}:{run.lines[query]}: query {quote_id(query)} has no row in {place}"
        for query in run.rankings
        if query not in compared.rankings
    ]


def _candidates(
    runs: Sequence[Run], queries: Sequence[ItemId], spec: FusionSpec, *, with_scores: bool
) -> list[Candidates]:
    candidates = collect_candidates(runs, queries, with_scores=with_scores)
    return dual_softmax(candidates) if spec.transductive else candidates


def _header(
    sources: Sequence[Path], runs: Sequence[Run], spec: FusionSpec, weights: Sequence[float]
) -> RunHeader:
    settings: dict[str, str | int | float | bool | None] = {
        "fusion": spec.method,
        "runs": ", ".join(source.name for source in sources),
        "weights": ", ".join(f"{weight:g}" for weight in weights),
    }
    if spec.method not in ("rrf", "votes"):
        settings["normalisation"] = spec.normalisation
    if spec.transductive:
        settings["transductive"] = True
    directions = {direction for run in runs if (direction := run.direction)}
    if len(directions) > 1:
        raise InvalidRequest("the runs are of two directions: text to image and image to text")
    direction = directions.pop() if directions else "text_to_image"
    return RunHeader(bundle=None, model=None, index=None, direction=direction, settings=settings)
