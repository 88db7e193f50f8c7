"""95 % confidence intervals of means over queries, by the BCa bootstrap.

The queries are the sample: an interval shows how far a score may be from that of all queries of
this kind. BCa (bias-corrected and accelerated) rather than plain percentiles, because shares near
0 or 1 are skewed; its acceleration has a closed form for a mean (B. Efron, Better Bootstrap
Confidence Intervals, 1987).

Not `scipy.stats.bootstrap`, which takes the same intervals four times as long (5,000 queries, 15
metrics: 6.6 s against 1.6 s): it jackknifes where the closed form does, and gathers resamples
where counts multiply the table. A test compares the two.
"""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from tusou.evaluation.metrics import Values

LEVEL = 0.95
RESAMPLES = 2000
_SEED = 20240
# Elements of one (resamples x queries) block of counts.
_BLOCK = 2**17

_NORMAL = NormalDist()


def intervals(columns: Mapping[str, Values]) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric's mean; (0, 0) without values.

    All metrics share the resamples of the queries.
    """
    if not columns:
        return {}
    table = np.column_stack(list(columns.values()))
    if not len(table):
        return dict.fromkeys(columns, (0.0, 0.0))
    resampled = _resample_means(table)
    return {
        name: _bca(table[:, column], resampled[:, column]) for column, name in enumerate(columns)
    }


def ratio_interval(part: Values, whole: Values) -> tuple[float, float]:
    """Return the interval of the ratio of two means over the same queries, of which one is not 0.

    By percentiles, since a ratio has no closed form of the acceleration.
    """
    resampled = _resample_means(np.column_stack([part, whole]))
    positive = resampled[:, 1] > 0
    low, high = np.quantile(
        resampled[positive, 0] / resampled[positive, 1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    )
    return float(low), float(high)


def _resample_means(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of `RESAMPLES` draws of the rows with replacement, (resamples, columns)."""
    count = len(table)
    random = np.random.default_rng(_SEED)
    per_block = max(1, _BLOCK // count)
    means = []
    for start in range(0, RESAMPLES, per_block):
        rows = min(per_block, RESAMPLES - start)
        draws = random.integers(0, count, (rows, count), np.int32)
        draws += np.arange(rows, dtype=np.int32)[:, None] * count  # one bin range per resample
        counts = np.bincount(draws.ravel(), minlength=rows * count).reshape(rows, count)
        means.append(counts.astype(np.float64) @ table / count)
    return np.concatenate(means)


def _bca(values: Values, resampled: Values) -> tuple[float, float]:
    mean = float(values.mean())
    deviations = values - mean
    norm = float(np.sqrt((deviations**2).sum()))
    if norm <= 1e-12 * len(values):  # equal values
        return mean, mean
    # Ties count half, since the mean of a few hits and misses has few possible values.
    tolerance = 1e-12
    ties = (abs(resampled - mean) <= tolerance).mean()
    below = (resampled < mean - tolerance).mean() + ties / 2
    bias = _NORMAL.inv_cdf(float(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES)))
    acceleration = float((deviations**3).sum()) / (6 * norm**3)
    tails = np.array([bias + _NORMAL.inv_cdf(tail) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)])
    adjusted = bias + tails / (1 - acceleration * tails)
    low, high = np.quantile(resampled, [_NORMAL.cdf(tail) for tail in adjusted])
    return float(low), float(high)
