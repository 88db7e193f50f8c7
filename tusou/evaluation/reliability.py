"""Reliability of probabilities: expected calibration error, reliability curve, AUROC.

Every figure is of a table with a row per query: probabilities, and which of them came true. The
queries are the sample, so intervals resample rows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]  # (queries, values)

BINS = 10
_RESAMPLES = 1000
_SEED = 20242
_TAILS = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The values whose probability lies in a tenth of the scale."""

    values: int
    predicted: float  # mean probability
    observed: float  # share that came true


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def reliability_curve(probabilities: Table, outcomes: Table) -> list[ReliabilityBin]:
    """Return the bins that hold values, in ascending order; `outcomes` are 0 or 1."""
    counts, predicted, observed = _bin(probabilities, outcomes).sum(axis=0)
    return [
        ReliabilityBin(int(count), float(p / count), float(o / count))
        for count, p, o in zip(counts, predicted, observed, strict=True)
        if count
    ]


def calibration_error(probabilities: Table, outcomes: Table) -> Estimate:
    """Return the expected calibration error: the bins' mean gap, weighted by their values.

    Resampling adds noise, and every gap counts as positive, so resampled errors are too large: the
    interval is moved back by their mean difference from the error.
    """
    sums = _bin(probabilities, outcomes)
    resampled = np.einsum("rq,qsb->rsb", _draws(len(sums)), sums)
    errors = _mean_gap(resampled)
    value = float(_mean_gap(sums.sum(axis=0)[None])[0])
    low, high = np.percentile(errors, _TAILS) - (errors.mean() - value)
    return Estimate(value, max(0.0, float(low)), min(1.0, float(high)))


def auroc(probabilities: Table, outcomes: Table) -> Estimate:
    """Return the share of pairs of a true and an untrue value in which the true one is higher.

    Ties count half. There is at least one of each.
    """
    values, codes = np.unique(probabilities, return_inverse=True)
    codes = codes.reshape(probabilities.shape)
    draws = np.concatenate([np.ones((1, len(codes))), _draws(len(codes))])
    areas = np.array([_area(codes, outcomes, weights, len(values)) for weights in draws])
    low, high = np.nanpercentile(areas[1:], _TAILS)
    return Estimate(float(areas[0]), float(low), float(high))


def _bin(probabilities: Table, outcomes: Table) -> npt.NDArray[np.float64]:
    """Return each row's number of values, sum of both by bin, (queries, 3, bins)."""
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    cells = (np.arange(len(bins))[:, None] * BINS + bins).ravel()
    columns = (np.ones_like(probabilities), probabilities, outcomes)
    sums = [np.bincount(cells, column.ravel(), len(bins) * BINS) for column in columns]
    return np.stack([np.float64(each).reshape(-1, BINS) for each in sums], axis=1)


def _mean_gap(sums: npt.NDArray[np.float64]) -> Table:
    """Return the weighted mean gap of (…, 3, bins) sums."""
    counts, predicted, observed = np.moveaxis(sums, -2, 0)
    gap: Table = np.abs(predicted - observed).sum(axis=-1) / counts.sum(axis=-1)
    return gap


def _area(codes: npt.NDArray[np.int64], outcomes: Table, weights: Table, size: int) -> float:
    """Return the area under the curve, each row counted `weights` times; NaN without pairs."""
    repeated = np.broadcast_to(weights[:, None], codes.shape)
    true = np.bincount(codes.ravel(), (repeated * outcomes).ravel(), size)
    untrue = np.bincount(codes.ravel(), (repeated * (1 - outcomes)).ravel(), size)
    pairs = true.sum() * untrue.sum()
    return float(true @ (np.cumsum(untrue) - untrue / 2) / pairs) if pairs else np.nan


def _draws(count: int) -> Table:
    """Return how often each of `count` rows is in each resample, (resamples, count)."""
    random = np.random.default_rng(_SEED)
    draws = random.integers(0, count, (_RESAMPLES, count))
    draws += np.arange(_RESAMPLES)[:, None] * count
    counts = np.bincount(draws.ravel(), minlength=_RESAMPLES * count)
    return counts.reshape(_RESAMPLES, count).astype(np.float64)
