"""Inverted softmax over a bank of queries: candidates that many queries find score lower.

S.-V. Bogolin et al., Cross Modal Retrieval with Querybank Normalisation (CVPR 2022).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors

# The authors' temperature, and the length of the candidates that are scored again.
SOFTMAX_BETA, SOFTMAX_DEPTH = 20.0, 100

Scores = npt.NDArray[np.float32]

_BLOCK_COSINES = 1 << 22  # cosines held at once; bounds the memory


def soft_mean_cosines(vectors: Vectors, bank: Vectors, beta: float) -> Scores:
    """Return `log(mean(exp(beta * cosine))) / beta` over the bank's queries for each item, (n,).

    It lies between the mean (small `beta`) and the maximum (large `beta`) of the cosines. Ordering
    the items of one query by cosine minus this is ordering them by inverted softmax.
    """
    means = np.empty(len(vectors), np.float32)
    for part in _parts(len(vectors), len(bank)):
        logits = beta * (vectors[part] @ bank.T).astype(np.float64)
        highest = logits.max(axis=1)
        sums = np.exp(logits - highest[:, None]).mean(axis=1)
        means[part] = (highest + np.log(sums)) / beta
    return means


def nearest_items(vectors: Vectors, bank: Vectors) -> npt.NDArray[np.bool_]:
    """Return which items are the nearest one of a query of the bank, (n,); the first if several.

    A query whose best item is not among them is probably not hurt by hubs, and keeps its ranking.
    """
    best = np.full(len(bank), -np.inf, np.float32)
    keys = np.zeros(len(bank), np.int64)
    for part in _parts(len(vectors), len(bank)):
        cosines = np.ascontiguousarray(vectors[part]) @ bank.T
        rows = cosines.argmax(axis=0)
        highest = cosines[rows, np.arange(len(bank))]
        closer = highest > best
        best[closer], keys[closer] = highest[closer], rows[closer] + part.start
    nearest = np.zeros(len(vectors), np.bool_)
    nearest[keys] = True
    return nearest


def _parts(items: int, queries: int) -> Iterator[slice]:
    size = max(1, _BLOCK_COSINES // queries)
    return (slice(start, min(start + size, items)) for start in range(0, items, size))
