"""Hub correction: the bias of an item, from its nearest queries in a bank of queries.

Items that are near to all queries (hubs) get a large bias, which is subtracted from their cosines.
N. Chowdhury et al., Nearest Neighbor Normalization Improves Multimodal Retrieval (EMNLP 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import InvalidRequest

# The authors' general recommendation.
HUB_K, HUB_ALPHA = 128, 0.75

Means = npt.NDArray[np.float64]
Bias = npt.NDArray[np.float32]

_BLOCK_COSINES = 1 << 23  # cosines held at once; bounds the memory
_MAX_BLOCK = 1 << 13  # items compared at once
# A matrix product adds in another order; inner products of unit vectors differ by less than this.
_ROUNDING = np.float32(1e-5)


@dataclass(frozen=True, slots=True)
class HubCorrection:
    """A bank of queries, and how an item's bias follows from it."""

    bank: Vectors  # (m, d) unit vectors
    k: int = HUB_K  # queries that count for an item
    alpha: float = HUB_ALPHA

    def __post_init__(self) -> None:
        if not len(self.bank):
            raise InvalidRequest("the query bank holds no query")
        if not 1 <= self.k <= len(self.bank):
            raise InvalidRequest(
                f"--hub-k {self.k}: give 1 to {len(self.bank):,}, the queries of the bank"
            )
        if not 0 <= self.alpha <= 2:  # False for NaN
            raise InvalidRequest(f"--hub-alpha {self.alpha:g}: give a number from 0 to 2")

    def bias(self, vectors: Vectors) -> Bias:
        """Return the bias of each item, (n,), which half precision holds exactly.

        `vectors` (n, d) may be mapped from a file; it is read in blocks. Equal vectors have equal
        biases, whatever else is in the array.
        """
        return as_bias(self.alpha * mean_best_cosines(vectors, self.bank, [self.k])[:, 0])


def as_bias(values: Means) -> Bias:
    """Round biases to half precision, so that every type of index can hold them."""
    return values.astype(np.float16).astype(np.float32)


def mean_best_cosines(vectors: Vectors, bank: Vectors, ks: Sequence[int]) -> Means:
    """Return the mean of each item's k best cosines with a bank, for several k, (n, len(ks)).

    `vectors` (n, d) may be mapped from a file; it is read in blocks.
    """
    bank = np.ascontiguousarray(bank, np.float32)
    means = np.empty((len(vectors), len(ks)), np.float64)
    size = max(1, min(_MAX_BLOCK, _BLOCK_COSINES // len(bank)))
    for start in range(0, len(vectors), size):
        block = np.ascontiguousarray(vectors[start : start + size], np.float32)
        best = _best_cosines(block, bank, max(ks))
        sums = np.cumsum(best, axis=1, dtype=np.float64)
        for column, k in enumerate(ks):
            means[start : start + size, column] = sums[:, k - 1] / k
    return means


def _best_cosines(block: Vectors, bank: Vectors, k: int) -> npt.NDArray[np.float32]:
    """Return the k best cosines of each item, descending, each to the last bit the same everywhere.

    The product finds them; they are computed again one by one, because the product of a matrix
    rounds otherwise with other rows beside.
    """
    from tusou.indexes.refined_search import inner_products  # noqa: PLC0415 - imports faiss

    cosines = block @ bank.T
    last = len(bank) - k
    least = np.partition(cosines, last, axis=1)[:, last, None] - _ROUNDING
    rows, queries = np.divmod(np.flatnonzero(cosines >= least), len(bank))
    exact = inner_products(bank, queries, block, rows)
    order = np.lexsort((-exact, rows))
    firsts = np.searchsorted(rows, np.arange(len(block)))  # each row has k or more
    positions: Ids = firsts[:, None] + np.arange(k)
    return exact[order][positions]
