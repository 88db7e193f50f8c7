"""Relevances of answers by curves that were fitted on other answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.bundle.calibration_file import RelevanceCurves, StageNames
from tusou.evaluation.reliability import Table
from tusou.stages.calibration import FeatureTable, Relevances, Values, apply_curves, feature_table
from tusou_lab.calibrate.fit import Kind, fit_curve
from tusou_lab.calibrate.samples import JudgedAnswer

KindChoice: TypeAlias = Literal["auto", "logistic", "isotonic"]

FOLDS = 5
KEPT = 0.95  # answers with a right item whose relevance reaches the threshold
_SEED = 20_261


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Relevances of all answers, each by curves that its query did not fit.

    An answer with fewer hits than others has wrong ones of no relevance in their place.
    """

    hits: Table  # (queries, 2 * depth): with the right items, then without
    right: Table
    answers: Table  # (queries, 2)
    found: Table  # (queries, 2): whether one of the hits is right

    @property
    def threshold(self) -> float:
        """The highest relevance that `KEPT` of the answers with a right item reach."""
        relevances = self.answers[self.found > 0]
        return float(np.quantile(relevances, 1 - KEPT, method="lower"))

    @property
    def brier_score(self) -> float:
        """The mean squared error of the relevances of hits, and of answers, added."""
        hits = np.mean((self.hits - self.right) ** 2)
        return float(hits + np.mean((self.answers - self.found) ** 2))


def fit_curves(
    answers: Sequence[JudgedAnswer], kind: Kind, threshold: float = 0.0
) -> RelevanceCurves:
    """Fit the relevance of hits and answers, with and without right items in the pool."""
    samples = [sample for answer in answers for sample in answer.both if len(sample.right)]
    tables = [feature_table(sample.ranked) for sample in samples]
    right = np.concatenate([sample.right for sample in samples])
    hits = _stack(tables)
    known = np.all([np.isfinite(values) for values in hits.values()], axis=0)
    known_hits: FeatureTable = {name: values[known] for name, values in hits.items()}
    firsts = _stack([_of_first(table) for table in tables])
    right_answers = np.array([sample.right.any() for sample in samples], np.float64)
    return RelevanceCurves(
        hit=fit_curve(known_hits, right[known], kind),
        answer=fit_curve(firsts, right_answers, kind),
        threshold=threshold,
    )


def cross_fit(
    judged: Mapping[StageNames, Sequence[JudgedAnswer]], choice: KindChoice
) -> dict[StageNames, Predictions]:
    """Return the relevances of each fifth of the queries by curves fitted on the other four.

    `judged` has the answers of the same queries after different stages, those served last.
    """
    texts = [answer.text for answer in next(iter(judged.values()))]
    folds = _folds(texts)
    predicted: dict[StageNames, dict[int, tuple[Relevances, Relevances]]] = {
        stages: {} for stages in judged
    }
    for fold in range(int(folds.max()) + 1):
        seen = {
            stages: [answers[position] for position in np.flatnonzero(folds != fold).tolist()]
            for stages, answers in judged.items()
        }
        kind = choose_kind(seen, choice)
        curves = {stages: fit_curves(answers, kind) for stages, answers in seen.items()}
        for stages, answers in judged.items():
            for position in np.flatnonzero(folds == fold).tolist():
                present, absent = answers[position].both
                pair = apply_curves(curves, present.ranked), apply_curves(curves, absent.ranked)
                predicted[stages][position] = pair
    return {
        stages: _predictions(answers, [predicted[stages][n] for n in range(len(answers))])
        for stages, answers in judged.items()
    }


def choose_kind(judged: Mapping[StageNames, Sequence[JudgedAnswer]], choice: KindChoice) -> Kind:
    """Return the kind of curve with the smaller Brier score on answers that did not fit it."""
    if choice != "auto":
        return choice
    served, answers = list(judged.items())[-1]
    both = {"retrieve": judged["retrieve"], served: answers}
    kinds: tuple[Kind, ...] = ("logistic", "isotonic")
    scores = {kind: cross_fit(both, kind)[served].brier_score for kind in kinds}
    return min(scores, key=scores.__getitem__)


def _predictions(
    answers: Sequence[JudgedAnswer], pairs: Sequence[tuple[Relevances, Relevances]]
) -> Predictions:
    depth = max(len(sample.right) for answer in answers for sample in answer.both)
    return Predictions(
        np.array([np.concatenate([_pad(each.hits, depth) for each in pair]) for pair in pairs]),
        np.array(
            [
                np.concatenate([_pad(each.right, depth) for each in answer.both])
                for answer in answers
            ]
        ),
        np.array([[each.answer for each in pair] for pair in pairs]),
        np.array([[float(each.right.any()) for each in answer.both] for answer in answers]),
    )


def _pad(values: Values, depth: int) -> Values:
    return np.pad(values, (0, depth - len(values)))


def _of_first(table: FeatureTable) -> FeatureTable:
    """Return the features of the first hit, whose score is the best one."""
    return {name: values[:1] for name, values in table.items() if name != "best"}


def _folds(texts: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """Return a fold for each query; those of equal texts share one."""
    names = [position if text is None else text for position, text in enumerate(texts)]
    different = list(dict.fromkeys(names))
    numbers = np.random.default_rng(_SEED).permutation(len(different)) % FOLDS
    folds = dict(zip(different, numbers.tolist(), strict=True))
    return np.array([folds[name] for name in names])


def _stack(tables: Sequence[FeatureTable]) -> FeatureTable:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
