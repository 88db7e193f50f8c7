"""Compares two runs over the same queries, with significance tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tusou.cli.progress import Progress
from tusou.core.errors import InvalidRequest
from tusou.core.ids import ItemId
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.judgments import Judgments, judge_run, unify_id_types
from tusou.evaluation.metrics import Values, headline, per_query
from tusou.evaluation.runs import Run
from tusou.evaluation.significance import ALPHA, holm, permutation_test
from tusou.evaluation.slices import slice_queries
from tusou_lab.evaluate.loading import load
from tusou_lab.evaluate.search_bundle import BundleSearchSpec, Loaded

_SHOWN_ITEMS = 5
# Tested by default beside the headline metric, as far as the rankings are deep enough.
_TESTED = ("hit@1", "hit@10", "recall@10", "mrr@10", "ndcg@10")


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric of both runs in percent, and the difference B - A with its 95 % interval."""

    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p: float  # of the permutation test
    p_holm: float  # corrected for all metrics or slices tested together

    @property
    def distinguishable(self) -> bool:
        """Return whether the difference is significant after the correction."""
        return self.p_holm < ALPHA


@dataclass(frozen=True, slots=True)
class SliceChange:
    """The headline metric over one kind of queries."""

    by: str
    label: str
    queries: int
    change: MetricChange


@dataclass(frozen=True, slots=True)
class ComparedRanking:
    """The ranking of one run for one query."""

    value: float  # of the headline metric, percent
    first_correct: int | None  # rank of the first correct item, from 1
    item_ids: tuple[ItemId, ...]  # the first five


@dataclass(frozen=True, slots=True)
class ChangedQuery:
    """A query that the two runs rank differently."""

    query_id: ItemId
    text: str | None
    correct: tuple[ItemId, ...]
    a: ComparedRanking
    b: ComparedRanking


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between the runs A and B."""

    verdict: str
    better: Literal["A", "B"] | None  # None: not distinguishable
    metric: str  # the headline metric, of the verdict, the counts and the slices
    queries: int
    correct_items: int  # different ones, over all queries
    answers_outside_pool: int | None  # None for files of rankings
    top_k: int
    wins: int  # queries with a better score in B
    ties: int
    losses: int
    metrics: dict[str, MetricChange]
    slices: tuple[SliceChange, ...]
    changed: tuple[ChangedQuery, ...]  # largest change first
    a: dict[str, Any] | None  # header of the run
    b: dict[str, Any] | None


def compare(
    a: Path,
    b: Path,
    answers: Path | str,
    spec: BundleSearchSpec | None = None,
    *,
    metrics: Sequence[str] = (),
    changed: int = 10,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two bundles or files of rankings, to the depth that both have.

    The first of `metrics` is the headline; without metrics there is a default. `changed` is the
    number of changed queries to report. Raises InvalidRequest for a metric that is not known at
    that depth, and whatever `load` raises.
    """
    spec = spec or BundleSearchSpec()
    first, second = (load(source, answers, spec, progress=progress) for source in (a, b))
    depth = min(first.depth, second.depth, spec.top_k or first.depth)
    judgments = first.judgments if first.judgments.string_ids else second.judgments
    runs = [unify_id_types(loaded.run, judgments)[0] for loaded in (first, second)]
    values_a, values_b = (per_query(judge_run(run, judgments), depth) for run in runs)
    names = _metric_names(values_a, metrics)
    metric = names[0]
    changes = _test_metrics(
        {name: values_a[name] for name in names}, {name: values_b[name] for name in names}
    )
    differences = values_b[metric] - values_a[metric]
    change = changes[metric]
    better: Literal["A", "B"] | None = None
    if change.distinguishable:
        better = "B" if change.difference > 0 else "A"
    return Comparison(
        verdict=_verdict(metric, change, better, len(changes)),
        better=better,
        metric=metric,
        queries=len(differences),
        correct_items=len(judgments.correct),
        answers_outside_pool=_count_outside(judgments, (first, second)),
        top_k=depth,
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
        metrics=changes,
        slices=_slice_changes(judgments, metric, values_a[metric], values_b[metric]),
        changed=_most_changed(judgments, runs, (values_a, values_b), metric, changed),
        a=_header(runs[0]),
        b=_header(runs[1]),
    )


def _count_outside(judgments: Judgments, loaded: Sequence[Loaded]) -> int | None:
    """Return how many correct items at least one of the known pools lacks."""
    pools = [run.pool_ids for run in loaded if run.pool_ids is not None]
    if not pools:
        return None
    return sum(any(item not in pool for pool in pools) for item in judgments.correct)


def _metric_names(known: Mapping[str, Values], requested: Sequence[str]) -> list[str]:
    if unknown := [name for name in requested if name not in known]:
        raise InvalidRequest(f"unknown --metric {unknown[0]}; choose from {', '.join(known)}")
    names = requested or (headline(known), *(name for name in _TESTED if name in known))
    return list(dict.fromkeys(names))


def _test_metrics(a: Mapping[str, Values], b: Mapping[str, Values]) -> dict[str, MetricChange]:
    """Test the difference of every metric, corrected for the number of metrics."""
    differences = {name: b[name] - a[name] for name in a}
    p, bounds = permutation_test(differences), intervals(differences)
    corrected = holm(p)
    return {
        name: MetricChange(
            a=100 * float(a[name].mean()),
            b=100 * float(b[name].mean()),
            difference=100 * float(differences[name].mean()),
            interval=(100 * bounds[name][0], 100 * bounds[name][1]),
            p=p[name],
            p_holm=corrected[name],
        )
        for name in a
    }


def _verdict(metric: str, change: MetricChange, better: str | None, tested: int) -> str:
    low, high = change.interval
    over = f" after Holm's correction over {tested} metrics" if tested > 1 else ""
    evidence = f"95 % interval {low:+.2f} to {high:+.2f}, p = {change.p_holm:.4f}{over}"
    scores = f"{metric} {change.a:.2f} % and {change.b:.2f} %"
    if better is None:
        claim = f"A and B are not distinguishable: {scores}"
    else:
        claim = f"{better} is better than {'A' if better == 'B' else 'B'}: {scores} for A and B"
    return f"{claim}, a difference of {change.difference:+.2f} points ({evidence})."


def _slice_changes(
    judgments: Judgments, metric: str, a: Values, b: Values
) -> tuple[SliceChange, ...]:
    """Test the headline metric on each slice, corrected for the number of slices."""
    parts = slice_queries(judgments)
    changes = [
        _test_metrics({metric: a[part.positions]}, {metric: b[part.positions]})[metric]
        for part in parts
    ]
    corrected = holm({str(number): change.p for number, change in enumerate(changes)})
    return tuple(
        SliceChange(part.by, part.label, len(part.positions), replace(change, p_holm=p))
        for part, change, p in zip(parts, changes, corrected.values(), strict=True)
    )


def _most_changed(
    judgments: Judgments,
    runs: Sequence[Run],
    values: Sequence[Mapping[str, Values]],
    metric: str,
    count: int,
) -> tuple[ChangedQuery, ...]:
    """Order by the change of the headline metric, then of the first correct item's rank."""
    (rank_metric,) = [name for name in values[0] if name.startswith("mrr@")]
    keys = [np.abs(values[1][name] - values[0][name]) for name in (rank_metric, metric)]
    order = np.lexsort([-key for key in keys])
    changed = []
    for row in [row for row in order.tolist() if keys[0][row] or keys[1][row]][:count]:
        query = judgments.rows[row]
        correct, sides = tuple(query.correct), []
        for run, by_metric in zip(runs, values, strict=True):
            items = run.rankings[query.query_id]
            ranks = (rank for rank, item in enumerate(items, start=1) if item in correct)
            value = 100 * float(by_metric[metric][row])
            sides.append(ComparedRanking(value, next(ranks, None), items[:_SHOWN_ITEMS]))
        changed.append(ChangedQuery(query.query_id, query.text, correct, *sides))
    return tuple(changed)


def _header(run: Run) -> dict[str, Any] | None:
    return run.header.model_dump() if run.header else None
