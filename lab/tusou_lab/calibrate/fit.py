"""Fits the curves of a calibration: logistic regression, with an isotonic one on top of it."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from tusou.bundle.calibration_file import Curve, Feature
from tusou.stages.calibration import FeatureTable, Values

Kind: TypeAlias = Literal["logistic", "isotonic"]

# A better score, margin or second score never lowers a relevance, and a hub is never preferred:
# the relevance of two hits of one query is in the order of their scores.
_SIGNS: Mapping[Feature, int] = {"score": 1, "margin": 1, "rerank": 1, "hub_bias": -1}
_RIDGE = 1e-4  # of a weight on a standardised feature, beside the mean loss of a value
_STEPS, _LONGEST_STEP, _TOLERANCE = 100, 3.0, 1e-9
_HIGHEST_SUM = 30.0  # of a logistic curve, which is 1 there to the last digit of a share


def fit_curve(table: FeatureTable, outcomes: Values, kind: Kind) -> Curve:
    """Return the probability that fits outcomes, 0 or 1, best; `table` holds columns of values.

    A feature that would have the wrong sign, or is the same everywhere, has no weight.
    """
    names = [name for name, values in table.items() if np.ptp(values) > _TOLERANCE]
    while True:
        weights, intercept = _fit_logistic(table, names, outcomes)
        wrong = {name: weights[name] * _SIGNS.get(name, 0) for name in names}
        if not names or min(wrong.values()) >= 0:
            break
        names.remove(min(wrong, key=wrong.__getitem__))
    if kind == "logistic":
        return Curve(weights=weights, intercept=intercept)
    sums = intercept + sum((weights[name] * table[name] for name in names), np.zeros(len(outcomes)))
    return Curve(weights=weights, intercept=intercept, knots=_isotonic_knots(sums, outcomes))


def _fit_logistic(
    table: FeatureTable, names: list[Feature], outcomes: Values
) -> tuple[dict[Feature, float], float]:
    """Return weights and intercept of the logistic regression, by Newton's method."""
    means = np.array([table[name].mean() for name in names])
    scales = np.array([table[name].std() for name in names])
    columns = [
        (table[name] - mean) / scale for name, mean, scale in zip(names, means, scales, strict=True)
    ]
    design = np.column_stack([*columns, np.ones(len(outcomes))])
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[-1] = _TOLERANCE
    solution = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        predicted = 1 / (1 + np.exp(-np.clip(design @ solution, -_HIGHEST_SUM, _HIGHEST_SUM)))
        gradient = design.T @ (predicted - outcomes) / len(outcomes) + penalty * solution
        curvature = (design.T * (predicted * (1 - predicted))) @ design / len(outcomes)
        step = np.linalg.solve(curvature + np.diag(penalty), gradient)
        solution -= step * min(1.0, _LONGEST_STEP / np.abs(step).max(initial=_TOLERANCE))
        if np.abs(step).max() < _TOLERANCE:
            break
    weights = solution[:-1] / scales
    intercept = float(solution[-1] - weights @ means)
    return dict(zip(names, weights.tolist(), strict=True)), intercept


def _isotonic_knots(sums: Values, outcomes: Values) -> tuple[tuple[float, float], ...]:
    """Return mean sum and mean outcome of the blocks that pooling adjacent violators leaves.

    Between two blocks the curve is a line, beyond the outer ones it is flat.
    """
    at, groups = np.unique(sums, return_inverse=True)
    counts = np.bincount(groups).astype(np.float64)
    blocks: list[tuple[float, float, float]] = []  # values, sum of sums, sum of outcomes
    for count, total, hits in zip(counts, counts * at, np.bincount(groups, outcomes), strict=True):
        blocks.append((count, total, hits))
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][0] >= blocks[-1][2] * blocks[-2][0]:
            last, before = blocks.pop(), blocks.pop()
            blocks.append((last[0] + before[0], last[1] + before[1], last[2] + before[2]))
    return tuple((float(total / count), float(hits / count)) for count, total, hits in blocks)
