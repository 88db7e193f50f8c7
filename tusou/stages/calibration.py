"""Calibrated relevance: the probability that a hit is right, and that anything fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.bundle.calibration_file import (
    STAGE_NAMES,
    CalibrationFile,
    Curve,
    Feature,
    RelevanceCurves,
    StageNames,
)
from tusou.core.arrays import Vectors

Values: TypeAlias = npt.NDArray[np.float64]
_DIGITS = 6  # more would be noise in responses

FeatureTable: TypeAlias = dict[Feature, Values]  # a value per hit, (m,)


@dataclass(frozen=True, slots=True, eq=False)
class RankedScores:
    """The scores of the stages for the first hits of one ranking, best first."""

    cosines: Values  # (m,)
    pool_cosine: float  # mean cosine of the query with the items of the pool
    refuses: bool = False  # the query has negative parts
    adjusted: Values | None = None  # (m,), of an adjusted ranking
    reranked: Values | None = None  # (m,); NaN where no score is known


class Relevances(NamedTuple):
    """The relevance of the first hits of a ranking, and of the answer."""

    hits: Values  # (m,), never rising, rounded
    answer: float
    fits: bool  # whether the answer's relevance reaches the threshold of the calibration


class Calibration:
    """The fitted functions of a bundle; safe for threads."""

    def __init__(self, content: CalibrationFile) -> None:
        self.query_kind, self.interpret = content.query_kind, content.interpret
        self._curves = content.curves
        self._mean = np.array(content.mean, np.float64)

    def pool_cosine(self, vector: Vectors) -> float:
        """Return the mean cosine of a query's vector, (d,), with the items."""
        return float(self._mean @ vector)

    def relevances(self, ranked: RankedScores) -> Relevances:
        """Return the relevance of each hit; along a ranking it never rises."""
        return apply_curves(self._curves, ranked)


def apply_curves(curves: Mapping[StageNames, RelevanceCurves], ranked: RankedScores) -> Relevances:
    """Return the relevance of each hit, by the curves of the stages that have scored it.

    A hit is no more relevant than the answer, and than the hit before it: so the hits of at least
    a certain relevance are the first ones of the ranking.
    """
    if not len(ranked.cosines):
        return Relevances(np.empty(0), 0.0, fits=False)
    table = feature_table(ranked)
    is_adjusted = ranked.adjusted is not None
    chosen = curves.get(STAGE_NAMES[is_adjusted, False], curves["retrieve"])
    hits, answer = probabilities(chosen.hit, table), probabilities(chosen.answer, table)
    rescored = curves.get(STAGE_NAMES[is_adjusted, True])
    if ranked.reranked is not None and rescored is not None:
        scored = np.isfinite(ranked.reranked)
        part: FeatureTable = {name: values[scored] for name, values in table.items()}
        hits[scored] = probabilities(rescored.hit, part)
        if scored[0]:
            chosen, answer = rescored, probabilities(rescored.answer, part)
    first = round(float(answer[0]), _DIGITS)
    relevances: Values = np.minimum.accumulate(np.minimum(hits, first)).round(_DIGITS)
    return Relevances(relevances, first, fits=first >= chosen.threshold)


def feature_table(ranked: RankedScores) -> FeatureTable:
    """Return the features of the hits that the stages know."""
    cosines = ranked.cosines
    table: FeatureTable = {
        "score": cosines,
        "margin": cosines - ranked.pool_cosine,
        "best": np.full(len(cosines), cosines[0]),
        "refused": np.full(len(cosines), float(ranked.refuses)),
    }
    if ranked.adjusted is not None:
        table["hub_bias"] = cosines - ranked.adjusted
    if ranked.reranked is not None:
        table["rerank"] = ranked.reranked
    return table


def probabilities(curve: Curve, table: FeatureTable) -> Values:
    """Return the probability of each hit, (m,)."""
    size = len(table["score"])
    sums = np.full(size, curve.intercept)
    for name, weight in curve.weights.items():
        sums += weight * table[name]
    return curve_values(curve, sums)


def curve_values(curve: Curve, sums: Values) -> Values:
    """Return the probabilities of weighted sums."""
    if not curve.knots:
        return np.exp(-np.logaddexp(0.0, -sums))
    at, values = np.array(curve.knots).T
    interpolated: Values = np.interp(sums, at, values)
    return interpolated
