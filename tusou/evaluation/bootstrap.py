"""95 % intervals for means over queries: the bias-corrected and accelerated bootstrap (BCa).

The queries are the sample: an interval says how far a figure may lie from that of all queries of
this kind, not how well the model or the pool was chosen. BCa rather than the plain percentiles,
because shares near 0 or 1 lie skewed; its acceleration has a closed form for a mean
(B. Efron, Better Bootstrap Confidence Intervals, 1987).
"""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tusou.evaluation.metrics import Values

LEVEL = 0.95
RESAMPLES = 2000
_SEED = 20240
# Resamples drawn at once: bounds the (resamples x queries) block of counts.
_DRAWN = 2**17

_NORMAL = NormalDist()


def interval(values: Values) -> tuple[float, float]:
    """Bound the mean of one metric; no values give (0, 0), equal ones their own value twice."""
    return intervals({"": values})[""]


def intervals(columns: Mapping[str, Values]) -> dict[str, tuple[float, float]]:
    """Bound the mean of each of several metrics of the same queries, from the same resamples."""
    if not columns:
        return {}
    table = np.column_stack(list(columns.values()))
    if not len(table):
        return dict.fromkeys(columns, (0.0, 0.0))
    resampled = _resampled_means(table)
    return {name: _bca(table[:, place], resampled[:, place]) for place, name in enumerate(columns)}


def _resampled_means(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of `RESAMPLES` draws of the rows with replacement: (resamples, columns)."""
    count = len(table)
    random = np.random.default_rng(_SEED)
    at_once = max(1, _DRAWN // count)
    parts = []
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        drawn = random.integers(0, count, (rows, count), np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * count  # each counts in its own row
        counts = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append(counts.astype(np.float64) @ table / count)
    return np.concatenate(parts)


def _bca(values: Values, resampled: Values) -> tuple[float, float]:
    mean = float(values.mean())
    away = values - mean
    spread = float(np.sqrt((away**2).sum()))
    if spread <= 1e-12 * len(values):  # all alike: nothing to resample
        return mean, mean
    # Ties count half: the mean of a few hits and misses takes few values.
    slack = 1e-12
    below = (resampled < mean - slack).mean() + (abs(resampled - mean) <= slack).mean() / 2
    bias = _NORMAL.inv_cdf(float(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES)))
    acceleration = float((away**3).sum()) / (6 * spread**3)
    low, high = (
        np.quantile(resampled, _level(bias, acceleration, tail))
        for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    )
    return float(low), float(high)


def _level(bias: float, acceleration: float, tail: float) -> float:
    """Say which quantile of the resamples bounds this tail."""
    shifted = bias + _NORMAL.inv_cdf(tail)
    return _NORMAL.cdf(bias + shifted / (1 - acceleration * shifted))
