"""Weights of runs, fitted on judged queries, and the gain that they bring on others."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tusou.core.ids import ItemId
from tusou.evaluation.bootstrap import intervals
from tusou.evaluation.metrics import Values
from tusou_lab.fuse.candidates import Candidates, Scores
from tusou_lab.fuse.methods import Normalisation, normalise

Objective: TypeAlias = Literal["mean_recall", "hit@1", "hit@5", "hit@10", "mrr@10"]

FOLDS = 5
_SEED = 20_251
# Weights are multiples of 1 / STEPS: the more runs, the fewer steps, to try at most 300 settings.
_STEPS = {2: 20, 3: 20, 4: 10, 5: 6}
_FEWEST_STEPS = 4


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """Weights fitted on all judged queries, and what fitting gains on queries it has not seen.

    Scores are in percent. The cross-validated gain is the objective of the fused ranking with
    weights fitted on four fifths of the queries, on the other fifth, minus that of the best single
    run on the same four fifths.
    """

    weights: tuple[float, ...]
    objective: Objective
    fitted: float  # of the fused ranking, on the queries that chose the weights
    single: tuple[float, ...]  # of each run alone
    gain: float
    interval: tuple[float, float]  # 95 %, paired over queries


def fit_weights(
    candidates: Sequence[Candidates],
    correct: Sequence[Collection[ItemId]],
    normalisation: Normalisation,
    objective: Objective,
) -> FittedWeights:
    """Fit the weights of r runs on judged queries, by trying a grid of weights.

    Among equally good weights, those nearest to equal ones are taken.
    """
    runs = candidates[0].ranks.shape[1]
    grid = np.array(sorted(_simplex(runs), key=lambda weights: float(np.square(weights).sum())))
    values = np.column_stack(
        [
            _objective_values(query, items, normalisation, grid, objective)
            for query, items in zip(candidates, correct, strict=True)
        ]
    )  # (settings, queries)
    best = int(values.mean(axis=1).argmax())
    alone = [int(np.flatnonzero(grid[:, run] == 1)[0]) for run in range(runs)]
    differences = _held_out_gain(values, values[alone])
    low, high = intervals({"gain": differences})["gain"]
    return FittedWeights(
        tuple(grid[best].tolist()),
        objective,
        100 * float(values[best].mean()),
        tuple((100 * values[alone].mean(axis=1)).tolist()),
        100 * float(differences.mean()),
        (100 * low, 100 * high),
    )


def _held_out_gain(fused: Scores, single: Scores) -> Values:
    """Return each query's gain when it was in the fold that did not choose weights and run."""
    count = fused.shape[1]
    fold = np.random.default_rng(_SEED).permutation(count) % min(FOLDS, count)
    gains = np.zeros(count)
    for number in range(int(fold.max()) + 1):
        held_out, seen = fold == number, fold != number
        if not seen.any():  # a single query
            continue
        weights = fused[:, seen].mean(axis=1).argmax()
        run = single[:, seen].mean(axis=1).argmax()
        gains[held_out] = fused[weights, held_out] - single[run, held_out]
    return gains


def _objective_values(
    candidates: Candidates,
    correct: Collection[ItemId],
    normalisation: Normalisation,
    grid: Scores,
    objective: Objective,
) -> Values:
    """Return a query's objective for each setting of the grid, (settings,)."""
    is_correct = np.array([item in correct for item in candidates.items], np.bool_)
    if not is_correct.any():
        return np.zeros(len(grid))
    scores = grid @ normalise(candidates, normalisation).T  # (settings, u)
    # The first correct item, ties by the order of the candidates as in the fused ranking.
    best = np.where(is_correct, scores, -np.inf).argmax(axis=1)
    highest = np.take_along_axis(scores, best[:, None], axis=1)
    ahead = (scores > highest) | (
        (scores == highest) & (np.arange(scores.shape[1]) < best[:, None])
    )
    return _values_of_rank(1 + ahead.sum(axis=1), objective)


def _values_of_rank(rank: Values, objective: Objective) -> Values:
    if objective == "mrr@10":
        return np.where(rank <= 10, 1 / rank, 0.0)
    if objective == "mean_recall":
        return np.asarray(np.mean([rank <= k for k in (1, 5, 10)], axis=0), np.float64)
    return np.asarray(rank <= int(objective.removeprefix("hit@")), np.float64)


def _simplex(runs: int) -> Iterator[tuple[float, ...]]:
    """Yield all weights of `runs` runs that are multiples of one step and add up to 1."""
    steps = _STEPS.get(runs, _FEWEST_STEPS)

    def parts(left: int, places: int) -> Iterator[tuple[int, ...]]:
        if places == 1:
            yield (left,)
            return
        for first in range(left + 1):
            yield from ((first, *rest) for rest in parts(left - first, places - 1))

    return (tuple(part / steps for part in each) for each in parts(steps, runs))
