"""Fits the hub correction on judged queries, from vectors in memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors
from tusou.evaluation.metrics import KS, Values
from tusou.stages.hub_bias import Bias, as_bias, mean_best_cosines

ALPHAS = (0.25, 0.5, 0.75, 1.0, 1.25)
HUB_KS = (1, 4, 16, 64, 128, 256, 512)

_QUERIES = 16  # compared with all items at once; bounds the memory


@dataclass(frozen=True, slots=True, eq=False)
class FittedHub:
    """The best settings of a grid; an `alpha` of 0 means that none is better than no correction."""

    alpha: float
    k: int
    before: Values  # mean_recall of each query without a correction, 0..1
    after: Values  # with it

    @property
    def gain(self) -> float:
        """The gain in mean_recall, in percent, on the queries that chose the settings."""
        return 100 * float((self.after - self.before).mean())


def fit_hub(
    vectors: Vectors,
    bank: Vectors,
    queries: Vectors,
    correct: Sequence[Collection[int]],
    alphas: Sequence[float] = ALPHAS,
    ks: Sequence[int] = HUB_KS,
) -> FittedHub:
    """Return the strength and the number of queries with the best mean_recall.

    `vectors` (n, d) are the items' and `correct` the row keys of the correct items of each query
    (q, d). The queries should not be in the `bank` (m, d), or the gain is too high. Among equally
    good settings the weakest correction is taken, then the smallest k.
    """
    ks = [k for k in ks if k <= len(bank)] or [len(bank)]
    means = mean_best_cosines(vectors, bank, ks)
    settings = [(0.0, ks[0]), *((alpha, k) for alpha in sorted(alphas) for k in ks)]
    biases = [as_bias(alpha * means[:, ks.index(k)]) for alpha, k in settings]
    values = [mean_recalls(vectors, queries, correct, bias) for bias in biases]
    best = int(np.argmax([each.mean() for each in values]))
    return FittedHub(*settings[best], before=values[0], after=values[best])


def mean_recalls(
    vectors: Vectors, queries: Vectors, correct: Sequence[Collection[int]], bias: Bias
) -> Values:
    """Return mean_recall of each query, 0..1, when items are ordered by cosine minus bias."""
    values = np.zeros(len(queries), np.float64)
    for start in range(0, len(queries), _QUERIES):
        scores = queries[start : start + _QUERIES] @ vectors.T - bias
        for row, score in enumerate(scores, start):
            if keys := sorted(correct[row]):
                values[row] = np.mean(_rank(score, np.array(keys)) <= np.array(KS))
    return values


def _rank(scores: npt.NDArray[np.float32], correct: npt.NDArray[np.int64]) -> int:
    """Return the rank of the first correct item, ties by key."""
    best = correct[scores[correct].argmax()]
    ahead = np.count_nonzero(scores > scores[best])
    return int(1 + ahead + np.count_nonzero(scores[:best] == scores[best]))
