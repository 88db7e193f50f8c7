"""Two searches over the same queries: by how much they differ, and whether that is chance."""

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
from tusou_lab.evaluate.loading import DEPTH, Loaded, load
from tusou_lab.evaluate.search_bundle import LiveSpec

_SHOWN_ITEMS = 5
# Tested unless told otherwise, beside the headline, where the lists are deep enough.
_TESTED = ("hit@1", "hit@10", "recall@10", "mrr@10", "ndcg@10")


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of both, in percent, and B less A with its 95 % interval."""

    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p: float  # of the randomisation test
    p_holm: float  # corrected for all that was tested beside it

    @property
    def distinguishable(self) -> bool:
        """Whether chance alone would seldom make such a difference."""
        return self.p_holm < ALPHA


@dataclass(frozen=True, slots=True)
class SliceChange:
    """The headline metric of the queries of one kind."""

    by: str
    label: str
    queries: int
    change: Change


@dataclass(frozen=True, slots=True)
class Found:
    """What one of the two found for a query."""

    value: float  # of the headline metric, percent
    first_correct: int | None  # rank, from 1
    item_ids: tuple[ItemId, ...]  # the first few


@dataclass(frozen=True, slots=True)
class ChangedQuery:
    """A query that the two answered unlike."""

    query_id: ItemId
    text: str | None
    correct: tuple[ItemId, ...]
    a: Found
    b: Found


@dataclass(frozen=True, slots=True)
class Comparison:
    """What sets B apart from A."""

    verdict: str
    better: Literal["A", "B"] | None  # None: not distinguishable
    metric: str  # the headline, which the verdict, the counts and the slices are about
    queries: int
    top_k: int
    wins: int  # queries that B answers better
    ties: int
    losses: int
    metrics: dict[str, Change]
    slices: tuple[SliceChange, ...]
    changed: tuple[ChangedQuery, ...]  # the most first
    a: dict[str, Any] | None  # the run's header
    b: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class CompareSpec:
    """What to compare by; the first metric is the headline, none are a choice of ours."""

    metrics: Sequence[str] = ()
    changed: int = 10
    top_k: int | None = None
    interpret: bool = False
    cache: Path | None = None


def compare(
    a: Path,
    b: Path,
    answers: Path | str,
    spec: CompareSpec | None = None,
    watcher: Progress | None = None,
) -> Comparison:
    """Compare two bundles or files of ranked lists, to the depth that both reach.

    Raises InvalidRequest for a metric that the depth does not give, and what `load` raises.
    """
    spec = spec or CompareSpec()
    live = LiveSpec(spec.top_k or DEPTH, spec.interpret, spec.cache)
    first, second = (
        load(source, answers, None, live, top_k=spec.top_k, watcher=watcher) for source in (a, b)
    )
    depth = min(first.depth, second.depth, spec.top_k or first.depth)
    return _compared(_Pair.of(first, second, depth), spec, depth)


@dataclass(frozen=True, slots=True)
class _Pair:
    answers: Judgments
    runs: tuple[Run, Run]
    values: tuple[Mapping[str, Values], Mapping[str, Values]]

    @classmethod
    def of(cls, first: Loaded, second: Loaded, depth: int) -> "_Pair":
        answers = first.judgments if first.judgments.string_ids else second.judgments
        runs = [unify_id_types(one.run, answers)[0] for one in (first, second)]
        values = [per_query(judge_run(run, answers), depth) for run in runs]
        return cls(answers, (runs[0], runs[1]), (values[0], values[1]))


def _compared(pair: _Pair, spec: CompareSpec, depth: int) -> Comparison:
    names = _names(pair, spec.metrics)
    metric = names[0]
    changes = _changes(
        {name: pair.values[0][name] for name in names},
        {name: pair.values[1][name] for name in names},
    )
    away = pair.values[1][metric] - pair.values[0][metric]
    change = changes[metric]
    better: Literal["A", "B"] | None = None
    if change.distinguishable:
        better = "B" if change.difference > 0 else "A"
    return Comparison(
        verdict=_verdict(metric, change, better, len(changes)),
        better=better,
        metric=metric,
        queries=len(away),
        top_k=depth,
        wins=int((away > 0).sum()),
        ties=int((away == 0).sum()),
        losses=int((away < 0).sum()),
        metrics=changes,
        slices=_slice_changes(pair, metric),
        changed=_most_changed(pair, metric, spec.changed),
        a=_header(pair.runs[0]),
        b=_header(pair.runs[1]),
    )


def _names(pair: _Pair, wanted: Sequence[str]) -> list[str]:
    known = pair.values[0]
    if unknown := [name for name in wanted if name not in known]:
        raise InvalidRequest(f"--metric {unknown[0]}: there are {', '.join(known)}")
    chosen = wanted or (headline(known), *(name for name in _TESTED if name in known))
    return list(dict.fromkeys(chosen))


def _changes(a: Mapping[str, Values], b: Mapping[str, Values]) -> dict[str, Change]:
    """Test every column of both, and correct for how many there are."""
    differences = {name: b[name] - a[name] for name in a}
    p, bounds = permutation_test(differences), intervals(differences)
    corrected = holm(p)
    return {
        name: Change(
            a=100 * float(a[name].mean()),
            b=100 * float(b[name].mean()),
            difference=100 * float(differences[name].mean()),
            interval=(100 * bounds[name][0], 100 * bounds[name][1]),
            p=p[name],
            p_holm=corrected[name],
        )
        for name in a
    }


def _verdict(metric: str, change: Change, better: str | None, tested: int) -> str:
    low, high = change.interval
    over = f" after Holm's correction over {tested} metrics" if tested > 1 else ""
    evidence = f"95 % interval {low:+.2f} to {high:+.2f}, p = {change.p_holm:.4f}{over}"
    by = f"{metric} {change.a:.2f} % and {change.b:.2f} %"
    if better is None:
        return (
            f"A and B are not distinguishable: {by}, a difference of "
            f"{change.difference:+.2f} points ({evidence})."
        )
    other = "A" if better == "B" else "B"
    return (
        f"{better} is better than {other}: {by} for A and B, a difference of "
        f"{change.difference:+.2f} points ({evidence})."
    )


def _slice_changes(pair: _Pair, metric: str) -> tuple[SliceChange, ...]:
    """Test the headline metric within each kind of query, corrected over all kinds."""
    a, b = (values[metric] for values in pair.values)
    parts = slice_queries(pair.answers)
    changes = [
        _changes({metric: a[one.positions]}, {metric: b[one.positions]})[metric] for one in parts
    ]
    corrected = holm({str(place): change.p for place, change in enumerate(changes)})
    return tuple(
        SliceChange(one.by, one.label, len(one.positions), replace(change, p_holm=p))
        for one, change, p in zip(parts, changes, corrected.values(), strict=True)
    )


def _most_changed(pair: _Pair, metric: str, count: int) -> tuple[ChangedQuery, ...]:
    """Order by the change of the headline, then by that of the first correct item's rank."""
    (rank_metric,) = [name for name in pair.values[0] if name.startswith("mrr@")]
    keys = [np.abs(pair.values[1][name] - pair.values[0][name]) for name in (rank_metric, metric)]
    order = np.lexsort([np.arange(len(keys[0])), -keys[0], -keys[1]])
    places = [place for place in order.tolist() if keys[0][place] or keys[1][place]]
    return tuple(_changed(pair, place, metric) for place in places[:count])


def _changed(pair: _Pair, place: int, metric: str) -> ChangedQuery:
    row = pair.answers.rows[place]
    correct = tuple(item for item, grade in (row.grades or {}).items() if grade > 0)
    sides = []
    for run, values in zip(pair.runs, pair.values, strict=True):
        items = run.rankings[row.query_id]
        ranks = [rank for rank, item in enumerate(items, start=1) if item in correct]
        value = 100 * float(values[metric][place])
        sides.append(Found(value, min(ranks, default=None), items[:_SHOWN_ITEMS]))
    return ChangedQuery(row.query_id, row.text, correct, sides[0], sides[1])


def _header(run: Run) -> dict[str, Any] | None:
    return run.header.model_dump() if run.header else None
