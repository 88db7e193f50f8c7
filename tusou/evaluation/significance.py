"""Whether two systems that were asked the same queries differ by more than chance."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from tusou.evaluation.metrics import Values

FLIPS = 10_000
ALPHA = 0.05
_SEED = 20241
# Up to so many queries that differ, all flips are looked at instead of some.
_ENUMERATED = 13
# Flips looked at at once: bounds the (flips x queries) block of signs.
_DRAWN = 2**17
# A sum of the same numbers in another order may differ by this.
_ROUNDING = 1e-9


def permutation_test(differences: Mapping[str, Values]) -> dict[str, float]:
    """Give each metric's two-sided p: how often chance alone makes a mean difference so large.

    If the systems were alike, each query's difference might as well have the other sign. All
    metrics are tested under the same flips of signs: every combination where at most 13 queries
    differ, 10,000 random ones otherwise (fixed seed; the observed one counts as one of them).
    """
    if not differences:
        return {}
    table = np.column_stack(list(differences.values()))
    table = table[table.any(axis=1)]  # the sign of nothing changes nothing
    observed = np.abs(table.sum(axis=0)) - _ROUNDING
    exact = len(table) <= _ENUMERATED
    signs = _all_signs(len(table)) if exact else _random_signs(len(table))
    flips, as_large = 0, np.zeros(table.shape[1])
    for some in signs:
        flips += len(some)
        as_large += (np.abs(some @ table) >= observed).sum(axis=0)
    p = as_large / flips if exact else (1 + as_large) / (1 + flips)
    return dict(zip(differences, p.tolist(), strict=True))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Correct for having asked several questions at once (S. Holm, 1979)."""
    corrected: dict[str, float] = {}
    highest = 0.0
    for place, name in enumerate(sorted(p, key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - place) * p[name]))
        corrected[name] = highest
    return {name: corrected[name] for name in p}


def _all_signs(count: int) -> Iterator[npt.NDArray[np.float64]]:
    bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    yield np.where(bits, -1.0, 1.0)


def _random_signs(count: int) -> Iterator[npt.NDArray[np.float64]]:
    random = np.random.default_rng(_SEED)
    at_once = max(1, _DRAWN // count)
    for start in range(0, FLIPS, at_once):
        rows = min(at_once, FLIPS - start)
        yield np.where(random.integers(0, 2, (rows, count), np.int8), -1.0, 1.0)
