"""Matching of labelled pairs of texts and images by their scores: AUC, and accuracy at a threshold.

The AUC is the share of pairs of a matching and another pair in which the matching one has the
higher score (H. B. Mann, D. R. Whitney, 1947); ties count half. Intervals resample images, since
the pairs of one image depend on each other; the threshold is fixed meanwhile.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tusou.evaluation.metrics import Values
from tusou.evaluation.reliability import Estimate

FOLDS = 5
_MARGIN = 1e-6
_RESAMPLES = 1000
_SEED = 20243
_TAILS = (2.5, 97.5)

Labels = npt.NDArray[np.bool_]
Groups = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """The score of each pair, whether it matches, and the number of its image from 0."""

    scores: Values  # (pairs,)
    matches: Labels  # (pairs,)
    images: Groups  # (pairs,)


@dataclass(frozen=True, slots=True, eq=False)
class MatchEstimates:
    """The figures of scored pairs; accuracy is that of given decisions."""

    auc: Estimate
    accuracy: Estimate


def choose_threshold(scores: Values, matches: Labels) -> float:
    """Return a threshold of the highest accuracy, where a pair matches from it on.

    It lies between two scores, or outside all of them; of several, the one in the middle of the
    longest range of scores that decides as well.
    """
    order = np.argsort(scores, kind="stable")
    ordered, is_match = scores[order], matches[order]
    # Correct decisions if all pairs from a position on match.
    correct = np.concatenate([[0], np.cumsum(~is_match)]) + np.concatenate(
        [np.cumsum(is_match[::-1])[::-1], [0]]
    )
    edges = np.concatenate([[-np.inf], ordered, [np.inf]])
    possible = edges[:-1] < edges[1:]  # equal scores get the same decision
    best = np.flatnonzero(possible & (correct == correct[possible].max()))
    # Narrow outside the scores: a threshold between two of them is preferred.
    finite = np.clip(edges, ordered[0] - _MARGIN, ordered[-1] + _MARGIN)
    widest = best[np.argmax(finite[best + 1] - finite[best])]
    return float((finite[widest] + finite[widest + 1]) / 2)


def cross_fit_decisions(pairs: ScoredPairs) -> tuple[Labels, list[float]]:
    """Decide on each fifth of the images by the threshold of the others; return all thresholds.

    Fewer images than fifths, but at least two, are each a part of their own.
    """
    count = int(pairs.images.max()) + 1
    parts = min(FOLDS, count)
    folds = (np.random.default_rng(_SEED).permutation(count) % parts)[pairs.images]
    decisions = np.zeros(len(pairs.scores), np.bool_)
    thresholds = []
    for fold in range(parts):
        held_out = folds == fold
        threshold = choose_threshold(pairs.scores[~held_out], pairs.matches[~held_out])
        decisions[held_out] = pairs.scores[held_out] >= threshold
        thresholds.append(threshold)
    return decisions, thresholds


def estimate_matching(pairs: ScoredPairs, decisions: Labels) -> MatchEstimates:
    """Return AUC and accuracy with their 95 % intervals; there are pairs of both labels."""
    area = _AreaUnderCurve(pairs)
    correct_images = pairs.images[decisions == pairs.matches]
    count = int(pairs.images.max()) + 1
    random = np.random.default_rng(_SEED)
    areas, accuracies = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    sizes = np.bincount(pairs.images, minlength=count).astype(np.float64)
    correct = np.bincount(correct_images, minlength=count).astype(np.float64)
    for number in range(_RESAMPLES):
        draws = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
        areas[number] = area(draws)
        accuracies[number] = (draws * correct).sum() / (draws * sizes).sum()
    once = np.ones(count)
    accuracy = float(correct.sum() / sizes.sum())
    return MatchEstimates(_estimate(area(once), areas), _estimate(accuracy, accuracies))


class _AreaUnderCurve:
    """The AUC of pairs whose images are counted several times; sorts the scores once."""

    def __init__(self, pairs: ScoredPairs) -> None:
        order = np.argsort(pairs.scores, kind="stable")
        scores, matches, images = pairs.scores[order], pairs.matches[order], pairs.images[order]
        others = scores[~matches]
        self._matching, self._others = images[matches], images[~matches]
        # For each matching pair: how many of the others have lower scores, and lower or equal ones.
        self._lower = np.searchsorted(others, scores[matches], "left")
        self._not_higher = np.searchsorted(others, scores[matches], "right")

    def __call__(self, counts: Values) -> float:
        """Return the AUC with image i counted `counts[i]` times; NaN without pairs of a label."""
        matching = counts[self._matching]
        others = np.concatenate([[0.0], np.cumsum(counts[self._others])])
        total = matching.sum() * others[-1]
        # Not `@`, whose threads wait for each other on a busy machine, for longer than this takes.
        won = (matching * (others[self._lower] + others[self._not_higher])).sum() / 2
        return float(won / total) if total else np.nan


def _estimate(value: float, resampled: Values) -> Estimate:
    low, high = np.nanpercentile(resampled, _TAILS)
    return Estimate(value, float(low), float(high))
