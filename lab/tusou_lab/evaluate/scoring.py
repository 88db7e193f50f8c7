"""Score a run, or what a bundle finds, against the answers that fit it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tusou.cli.progress import Progress
from tusou.core.ids import ItemId
from tusou.data.submission import Direction
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.judgments import Judgments, judge_run
from tusou.evaluation.metrics import Values, means, per_query
from tusou.evaluation.runs import Run
from tusou.evaluation.slices import QuerySlice, slice_queries
from tusou_lab.evaluate.loading import DEPTH, Loaded, load
from tusou_lab.evaluate.search_bundle import LiveSpec

__all__ = ["DEPTH", "Evaluation", "Scored", "SliceScore", "evaluate"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run scored."""

    queries: int
    without_answer: int  # queries whose list of correct items is empty: they score zero
    answers_outside_pool: int | None  # correct items no search can find; None without a pool
    top_k: int
    direction: Direction
    percent: dict[str, float]  # metric name -> value
    interval: dict[str, tuple[float, float]]  # metric name -> 95 % interval, percent
    index_recall: dict[str, float] | None  # of a bundle's approximate index, percent
    run: dict[str, Any] | None  # the header: bundle, model, index, settings
    slices: tuple["SliceScore", ...]


@dataclass(frozen=True, slots=True)
class SliceScore:
    """What the queries of one kind scored."""

    by: str
    label: str
    queries: int
    percent: dict[str, float]
    interval: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Scored:
    """An evaluation, and what it was made from."""

    evaluation: Evaluation
    run: Run
    answers: Judgments
    values: Mapping[str, Values]  # metric name -> a share for each query, in the answers' order


def evaluate(
    source: Path,
    answers: Path | str,
    pool: Path | None = None,
    spec: LiveSpec | None = None,
    *,
    top_k: int | None = None,
    watcher: Progress | None = None,
) -> Scored:
    """Score `source`, a bundle or a file of ranked lists, against `answers`; as `load` reads them.

    A run file or TREC run is scored as deep as it goes, or to `top_k`.
    """
    loaded = load(source, answers, pool, spec, top_k=top_k, watcher=watcher)
    return _scored(loaded, min(top_k or loaded.depth, loaded.depth))


def percent(shares: Mapping[str, float]) -> dict[str, float]:
    """Turn shares into percent."""
    return {name: 100 * value for name, value in shares.items()}


def _scored(loaded: Loaded, depth: int) -> Scored:
    run, answers, in_pool = loaded.run, loaded.judgments, loaded.pool_ids
    values = per_query(judge_run(run, answers), depth)
    evaluation = Evaluation(
        queries=len(answers.rows),
        without_answer=sum(not any(_positive(row.grades)) for row in answers.rows),
        answers_outside_pool=None if in_pool is None else len(answers.correct - in_pool),
        top_k=depth,
        direction=answers.direction,
        percent=percent(means(values)),
        interval={name: (100 * low, 100 * high) for name, (low, high) in intervals(values).items()},
        index_recall=percent(loaded.index_recall) if loaded.index_recall else None,
        run=run.header.model_dump() if run.header else None,
        slices=tuple(_slice_score(one, values) for one in slice_queries(answers)),
    )
    return Scored(evaluation, run, answers, values)


def _slice_score(part: QuerySlice, values: Mapping[str, Values]) -> SliceScore:
    own = {name: column[part.positions] for name, column in values.items()}
    return SliceScore(
        part.by, part.label, len(part.positions), percent(means(own)), _intervals(own)
    )


def _intervals(values: Mapping[str, Values]) -> dict[str, tuple[float, float]]:
    return {name: (100 * low, 100 * high) for name, (low, high) in intervals(values).items()}


def _positive(grades: Mapping[ItemId, int] | None) -> list[bool]:
    return [grade > 0 for grade in (grades or {}).values()]
