"""AUC, threshold and accuracy of labelled pairs have the values of their definitions."""

import numpy as np
import pytest
from scipy import stats

from tusou.evaluation.pair_matching import (
    ScoredPairs,
    choose_threshold,
    cross_fit_decisions,
    estimate_matching,
)


def draw(count: int, seed: int) -> ScoredPairs:
    """Return pairs with ties, whose scores are higher by 1 where they match."""
    random = np.random.default_rng(seed)
    matches = random.random(count) < 0.4
    scores = np.round(random.normal(matches, 1.0), 1)
    return ScoredPairs(scores, matches, np.arange(count))


def test_auc_is_that_of_the_u_test_ties_included() -> None:
    pairs = draw(400, 1)
    true, untrue = pairs.scores[pairs.matches], pairs.scores[~pairs.matches]
    expected = stats.mannwhitneyu(true, untrue).statistic / (len(true) * len(untrue))
    estimate = estimate_matching(pairs, pairs.matches).auc
    assert estimate.value == pytest.approx(expected, abs=1e-12)
    assert estimate.low < expected < estimate.high


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], 0.0), ([5, 5, 5, 5], 0.5), ([1, 3, 2, 3], 0.625)],
)
def test_auc_of_few_pairs(scores: list[float], expected: float) -> None:
    matches = np.array([False, False, True, True])
    pairs = ScoredPairs(np.array(scores, np.float64), matches, np.arange(4))
    assert estimate_matching(pairs, matches).auc.value == expected


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_has_the_highest_accuracy(seed: int) -> None:
    pairs = draw(37, seed)
    candidates = [-np.inf, *(np.unique(pairs.scores) + 0.05)]
    accuracies = [np.mean((pairs.scores >= each) == pairs.matches) for each in candidates]
    threshold = choose_threshold(pairs.scores, pairs.matches)
    assert np.mean((pairs.scores >= threshold) == pairs.matches) == max(accuracies)


@pytest.mark.parametrize(
    ("scores", "matches", "low", "high"),
    [
        ([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1], 0.4, 0.4),  # in the middle of the gap
        ([0.1, 0.2], [1, 1], 0.0, 0.1),  # all match
        ([0.1, 0.2], [0, 0], 0.2000001, 0.3),  # none matches
        ([0.3, 0.3, 0.3], [0, 1, 1], 0.2, 0.3),  # equal scores get the same decision
        ([0.3, 0.3, 0.3], [0, 0, 1], 0.3000001, 0.4),
    ],
)
def test_the_threshold_of_few_pairs(
    scores: list[float], matches: list[int], low: float, high: float
) -> None:
    threshold = choose_threshold(np.array(scores), np.array(matches) > 0)
    assert low - 1e-12 <= threshold <= high + 1e-12


def test_decisions_are_by_thresholds_of_other_images() -> None:
    random = np.random.default_rng(5)
    labels = random.random(3000) < 0.5
    pairs = ScoredPairs(random.random(3000), labels, np.arange(3000) // 2)
    decisions, thresholds = cross_fit_decisions(pairs)
    assert len(thresholds) == 5
    # Scores say nothing, so that decisions on unseen images are right by chance alone; those of a
    # threshold chosen on the same pairs are right more often.
    own = np.mean((pairs.scores >= choose_threshold(pairs.scores, labels)) == labels)
    accuracy = estimate_matching(pairs, decisions).accuracy
    assert accuracy.low < 0.5 < accuracy.high
    assert own > 0.5


def test_every_pair_is_decided_once_by_others() -> None:
    scores = np.array([0.0, 0.1, 0.9, 1.0])
    pairs = ScoredPairs(scores, scores > 0.5, np.array([0, 1, 2, 3]))
    decisions, thresholds = cross_fit_decisions(pairs)
    assert decisions.tolist() == [False, False, True, True]
    assert len(thresholds) == 4


def test_repeated_pairs_of_an_image_do_not_narrow_the_intervals() -> None:
    alone = draw(600, 7)
    repeated = ScoredPairs(
        np.repeat(alone.scores[:100], 6), np.repeat(alone.matches[:100], 6), np.arange(600) // 6
    )
    first = estimate_matching(repeated, repeated.scores > 0.5)
    # The same pairs six times tell as much as once.
    once = ScoredPairs(alone.scores[:100], alone.matches[:100], np.arange(100))
    second = estimate_matching(once, once.scores > 0.5)
    assert first.auc.value == pytest.approx(second.auc.value)
    assert (first.auc.low, first.auc.high) == pytest.approx((second.auc.low, second.auc.high))
    assert first.accuracy.high - first.accuracy.low == pytest.approx(
        second.accuracy.high - second.accuracy.low
    )


def test_intervals_hold_the_true_value() -> None:
    true = stats.norm.cdf(1 / np.sqrt(2))
    inside = 0
    for seed in range(30):
        random = np.random.default_rng(1000 + seed)
        matches = random.random(120) < 0.5
        pairs = ScoredPairs(random.normal(matches, 1.0), matches, np.arange(120))
        auc = estimate_matching(pairs, pairs.scores > 0.5).auc
        inside += auc.low <= true <= auc.high
    assert inside >= 25
