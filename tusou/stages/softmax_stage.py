"""Inverted softmax as a stage: the first items of a ranking are ordered by it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tusou.bundle.stages import SoftmaxRecord
from tusou.core.arrays import Vectors
from tusou.stages.inverted_softmax import Scores, soft_mean_cosines

Mask = npt.NDArray[np.bool_]


class SoftmaxStage:
    """Orders the first items of a ranking by cosine minus their soft mean over a query bank.

    A ranking is left alone unless its first item is the nearest one of a query of the bank: other
    queries are probably not hurt by hubs (dynamic inverted softmax). For one thread.
    """

    def __init__(self, record: SoftmaxRecord, bank: Vectors, nearest: Mask) -> None:
        """`nearest` (n,) are the items of the version that are the nearest of a bank's query."""
        self.depth = record.depth
        self._beta, self._bank, self._nearest = record.beta, bank, nearest
        self._soft_means = np.full(len(nearest), np.nan, np.float32)  # NaN: not yet computed

    def applies(self, keys: Sequence[int]) -> bool:
        """Return whether a ranking is reordered; live items are behind those of the version."""
        return bool(keys) and keys[0] < len(self._nearest) and bool(self._nearest[keys[0]])

    def scores(self, keys: Sequence[int], vectors: Vectors, cosines: Scores) -> Scores:
        """Return what items are ordered by, (k,), from their vectors (k, d) and their cosines."""
        rows = np.array(keys, np.int64)
        of_version = rows < len(self._nearest)
        means = np.full(len(rows), np.nan, np.float32)
        means[of_version] = self._soft_means[rows[of_version]]
        missing = np.isnan(means)
        if missing.any():
            means[missing] = soft_mean_cosines(vectors[missing], self._bank, self._beta)
            known = missing & of_version
            self._soft_means[rows[known]] = means[known]
        adjusted: Scores = cosines - means
        return adjusted
