"""Wilson's interval of a share."""

from math import sqrt

_Z = 1.959964  # of a normal distribution: 95 % lie within


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the bounds of the 95 % interval of count / total, rounded to four digits."""
    centre = count + _Z * _Z / 2
    spread = _Z * sqrt(count * (total - count) / max(total, 1) + _Z * _Z / 4)
    low, high = ((centre + sign * spread) / (total + _Z * _Z) for sign in (-1, 1))
    return round(max(0.0, low), 4), round(min(1.0, high), 4)
