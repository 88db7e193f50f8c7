"""Relevances of answers by curves that were fitted on other answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tusou.bundle.calibration_file import RelevanceCurves, StageNames
from tusou.evaluation.reliability import Table
from tusou.stages.calibration import FeatureTable, Relevances, Values, apply_curves, feature_table
from tusou_lab.calibrate.fit import Kind, fit_curve
from tusou_lab.calibrate.samples import JudgedAnswer

KindChoice: TypeAlias = Literal["auto", "logistic", "isotonic"]
Curves: TypeAlias = dict[StageNames, RelevanceCurves]

FOLDS = 5
KEPT = 0.95  # answers with a right item whose relevance reaches the threshold
_SEED = 20_261


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Relevances of all answers, each by curves that its query did not fit."""

    hits: Table  # (queries, 2 * depth): with the right items, then without
    right: Table
    answers: Table  # (queries, 2)
    found: Table  # (queries, 2): whether one of the hits is right

    @property
    def threshold(self) -> float:
        """The highest relevance that `KEPT` of the answers with a right item reach."""
        relevances = self.answers[self.found > 0]
        return float(np.quantile(relevances, 1 - KEPT, method="lower"))


def fit_curves(
    answers: Sequence[JudgedAnswer], kind: Kind, threshold: float = 0.0
) -> RelevanceCurves:
    """Fit the relevance of hits and answers, with right items in the pool and without alike."""
    samples = [sample for answer in answers for sample in answer.both]
    tables = [feature_table(sample.ranked) for sample in samples]
    hits = fit_curve(_stack(tables), np.concatenate([sample.right for sample in samples]), kind)
    firsts = _stack([_of_first(table) for table in tables])
    found = np.array([sample.right.any() for sample in samples], np.float64)
    return RelevanceCurves(hit=hits, answer=fit_curve(firsts, found, kind), threshold=threshold)


def _of_first(table: FeatureTable) -> FeatureTable:
    """Return the features of the first hit, whose score is the best one."""
    return {name: values[:1] for name, values in table.items() if name != "best"}


def cross_fit(answers: Sequence[JudgedAnswer], choice: KindChoice) -> Predictions:
    """Return the relevances of each fifth of the queries by curves fitted on the other four."""
    predicted: list[tuple[Relevances, Relevances] | None] = [None] * len(answers)
    folds = _folds(answers)
    for fold in range(int(folds.max()) + 1):
        seen = [answer for answer, number in zip(answers, folds, strict=True) if number != fold]
        curves: Curves = {"retrieve": fit_curves(seen, choose_kind(seen, choice))}
        for position in np.flatnonzero(folds == fold).tolist():
            present, absent = answers[position].both
            predicted[position] = (
                apply_curves(curves, present.ranked),
                apply_curves(curves, absent.ranked),
            )
    pairs = [pair for pair in predicted if pair is not None]
    right = [(answer.present.right, answer.absent.right) for answer in answers]
    return Predictions(
        np.array([np.concatenate([one.hits for one in pair]) for pair in pairs]),
        np.array([np.concatenate(pair) for pair in right]),
        np.array([[one.answer for one in pair] for pair in pairs]),
        np.array([[float(one.any()) for one in pair] for pair in right]),
    )


def choose_kind(answers: Sequence[JudgedAnswer], choice: KindChoice) -> Kind:
    """Return the kind of curve with the smaller Brier score on answers that did not fit it."""
    if choice != "auto":
        return choice
    scores: dict[Kind, float] = {
        kind: _brier_score(cross_fit(answers, kind)) for kind in ("logistic", "isotonic")
    }
    return min(scores, key=scores.__getitem__)


def _brier_score(predictions: Predictions) -> float:
    """Return the mean squared error of the relevances of hits, and of answers, added."""
    hits = np.mean((predictions.hits - predictions.right) ** 2)
    return float(hits + np.mean((predictions.answers - predictions.found) ** 2))


def _folds(answers: Sequence[JudgedAnswer]) -> Values:
    """Return a fold for each answer; those of equal texts share one."""
    texts = {
        answer.text if answer.text is not None else position: 0
        for position, answer in enumerate(answers)
    }
    numbers = np.random.default_rng(_SEED).permutation(len(texts)) % min(FOLDS, len(texts))
    folds = dict(zip(texts, numbers, strict=True))
    return np.array(
        [
            folds[answer.text if answer.text is not None else position]
            for position, answer in enumerate(answers)
        ]
    )


def _stack(tables: Sequence[FeatureTable]) -> FeatureTable:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
