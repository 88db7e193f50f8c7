"""Combinations of unit vectors: their mean, and the vectors of several models side by side.

The part of a model is its unit vector scaled by the square root of the model's weight. The weights
add up to 1, so the whole is a unit vector too, and the inner product of two of them is the weighted
sum of the models' cosines.
"""

from collections.abc import Sequence

import numpy as np

from tusou.core.arrays import Vectors


def mean_of_units(vectors: Sequence[Vectors]) -> Vectors:
    """Return the mean of unit rows, scaled to unit length: (n, d); a single array as it is."""
    if len(vectors) == 1:
        return vectors[0]
    mean = np.mean(vectors, axis=0, dtype=np.float32)
    unit: Vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return unit


def part_scale(weight: float) -> np.float32:
    """Return what the unit vectors of a model of this weight are multiplied by."""
    scale: np.float32 = np.sqrt(np.float32(weight))
    return scale


def join_parts(parts: Sequence[Vectors], weights: Sequence[float]) -> Vectors:
    """Return the vectors of an ensemble, (n, sum of d), from those of its models, (n, d) each."""
    scaled = [part * part_scale(weight) for part, weight in zip(parts, weights, strict=True)]
    return np.concatenate(scaled, axis=1)
