"""Scores a run, or what a bundle returns, against judgments."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tusou.cli.progress import Progress
from tusou.data.submission import Direction
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.incomplete import has_incorrect, incomplete_metrics
from tusou.evaluation.judgments import Judgments, judge_run, sample_run
from tusou.evaluation.metrics import Values, means, per_query
from tusou.evaluation.runs import Run
from tusou.evaluation.sampled import estimate_metrics
from tusou.evaluation.slices import QuerySlice, slice_queries
from tusou_lab.evaluate.loading import load
from tusou_lab.evaluate.search_bundle import BundleSearchSpec


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of a run."""

    queries: int
    without_answer: int  # queries whose list of correct items is empty: they score zero
    correct_items: int  # different ones, over all queries
    answers_outside_pool: int | None  # correct items no search can return; None without a pool
    top_k: int
    direction: Direction
    percent: dict[str, float]  # metric name -> value
    interval: dict[str, tuple[float, float]]  # metric name -> 95 % interval, percent
    index_recall: dict[str, float] | None  # of a bundle's approximate index, percent
    run: dict[str, Any] | None  # the header: bundle, model, index, settings
    slices: tuple["SliceScore", ...]


@dataclass(frozen=True, slots=True)
class SliceScore:
    """The scores of one kind of queries."""

    by: str
    label: str
    queries: int
    percent: dict[str, float]
    interval: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """A run with its judgments and scores."""

    evaluation: Evaluation
    run: Run
    judgments: Judgments
    values: Mapping[str, Values]  # metric name -> one value per query, in the judgments' order


def evaluate(
    source: Path,
    answers: Path | str,
    spec: BundleSearchSpec | None = None,
    progress: Progress | None = None,
) -> ScoredRun:
    """Score `source`, a bundle or a file of rankings, against `answers`, both read by `load`.

    The rankings of a run file or a TREC run are scored to their full depth, or to `spec.top_k`.
    """
    spec = spec or BundleSearchSpec()
    loaded = load(source, answers, spec, progress=progress)
    depth = min(spec.top_k or loaded.depth, loaded.depth)
    run, judgments, in_pool = loaded.run, loaded.judgments, loaded.pool_ids
    correct = judgments.correct
    rankings = judge_run(run, judgments)
    values = per_query(rankings, depth)
    drawn = sample_run(run, judgments)
    if drawn or has_incorrect(rankings):
        values |= incomplete_metrics(rankings, depth)
    estimates = estimate_metrics(drawn, depth)
    evaluation = Evaluation(
        queries=len(judgments.rows),
        without_answer=sum(not row.correct for row in judgments.rows),
        correct_items=len(correct),
        answers_outside_pool=None if in_pool is None else len(correct - in_pool),
        top_k=depth,
        direction=judgments.direction,
        percent=_to_percent(means(values) | {k: each.value for k, each in estimates.items()}),
        interval=_percent_intervals(values)
        | _scale_intervals({name: each.interval for name, each in estimates.items()}),
        index_recall=_to_percent(loaded.index_recall) if loaded.index_recall else None,
        run=run.header.model_dump() if run.header else None,
        slices=tuple(_score_slice(part, values) for part in slice_queries(judgments)),
    )
    return ScoredRun(evaluation, run, judgments, values)


def _score_slice(part: QuerySlice, values: Mapping[str, Values]) -> SliceScore:
    selected = {name: column[part.positions] for name, column in values.items()}
    percent, interval = _to_percent(means(selected)), _percent_intervals(selected)
    return SliceScore(part.by, part.label, len(part.positions), percent, interval)


def _to_percent(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: 100 * value for name, value in shares.items()}


def _percent_intervals(values: Mapping[str, Values]) -> dict[str, tuple[float, float]]:
    return _scale_intervals(intervals(values))


def _scale_intervals(by_name: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {name: (100 * low, 100 * high) for name, (low, high) in by_name.items()}
