"""95 % confidence intervals of means and shares that are estimated from drawn judgments.

The few items that were drawn with a small probability stand for many each, so the estimated sums
are skewed, and a bootstrap over queries that hold none of them sees no doubt at all. Hence:

* the interval is that of the logarithm of a mean or of a share's odds, by its linear terms over
  the queries, and transformed back;
* the quantile is Student's, with the degrees of freedom that the kurtosis of these terms leaves
  (as in F. Satterthwaite, An approximate distribution of estimates of variance components, 1946);
* each end counts half an item more of the largest weight, as if it had nearly been drawn. For a
  count of zero this gives 3.6 weights, where the exact bound of a Poisson count is 3.7.

`python -m benchmarks.judged_set` measures how often the intervals hold the truth.
"""

import math
from statistics import NormalDist

from tusou.evaluation.metrics import Values

Interval = tuple[float, float]

_Z = NormalDist().inv_cdf(0.975)
_LEAST_FREEDOM = 2.0


def mean_interval(values: Values, unseen: float = 0.0) -> Interval:
    """Return the interval of the mean of values from 0 on, one or more, cut off above 1.

    `unseen` is the value of an item that could have been drawn and was not; 0 if there is none.
    """
    low, high = (_mean_bound(sign, values, more) for sign, more in ((-1, 0.0), (1, unseen / 2)))
    return low, min(1.0, high)


def _mean_bound(sign: int, values: Values, more: float) -> float:
    total = float(values.sum()) + more
    if total <= 0:
        return 0.0
    spread = _spread(values / total, more / total)
    return total / len(values) * math.exp(sign * spread)


def share_interval(
    found: Values, others: Values, unseen_found: float = 0.0, unseen_others: float = 0.0
) -> Interval:
    """Return the interval of the share of `found` in the sum of both, (n,) each.

    `unseen_found` and `unseen_others` are the weights of an item that could have been drawn on
    either side and was not; 0 if there is none.
    """
    low = _share_bound(-1, found, others, 0.0, unseen_others / 2)
    return low, _share_bound(1, found, others, unseen_found / 2, 0.0)


def _share_bound(
    sign: int, found: Values, others: Values, more_found: float, more_others: float
) -> float:
    total_found, total_others = found.sum() + more_found, others.sum() + more_others
    if total_found <= 0:
        return 0.0
    if total_others <= 0:
        return 1.0
    terms: Values = found / total_found - others / total_others
    spread = _spread(terms, more_found / total_found - more_others / total_others)
    return 1 / (1 + float(total_others / total_found) * math.exp(-sign * spread))


def _spread(terms: Values, unseen: float) -> float:
    """Return half the width of the interval of a sum with these terms, and one unseen term."""
    count = len(terms)
    deviations = terms - terms.mean()
    squares = float((deviations**2).sum())
    if count < 2 or squares <= 1e-24 * count:  # equal terms
        return _Z * abs(unseen)
    kurtosis = float((deviations**4).sum()) * count / squares**2
    freedom = 2 * count / (kurtosis - 1) if kurtosis > 1 else math.inf
    freedom = max(_LEAST_FREEDOM, min(count - 1, freedom))
    return student_quantile(freedom) * math.sqrt((squares + unseen**2) * count / (count - 1))


def student_quantile(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t, within 1 % from 2 degrees of freedom on.

    By the expansion 26.7.5 of M. Abramowitz, I. Stegun, Handbook of Mathematical Functions, 1964.
    """
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
