"""Index recall: the share of the exact results that an index finds."""

import numpy as np

from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.indexes import create_index
from tusou.indexes.base import best_first
from tusou.indexes.specs import FaissSpec

# Items and queries compared at once; both bound the memory.
_ITEMS = 8_192
_QUERIES = 256
# Sums of some hundred products in float32, in another order, differ by less. In a pool of thousands
# one query in a hundred has two items that close to each other at the end of its top 10.
_ROUNDING = 1e-6


def exact_neighbors(vectors: Vectors, queries: Vectors, k: int) -> Neighbors:
    """Return the k nearest rows of `vectors` per query by exact search, padded with -1.

    `vectors` (n, d) may be mapped from a file; it is read in blocks.
    """
    best = Neighbors(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    for start in range(0, len(vectors), _ITEMS):
        block = np.ascontiguousarray(vectors[start : start + _ITEMS])
        flat = create_index(FaissSpec("Flat"), vectors.shape[1])
        flat.fill(block)
        neighbors = flat.search(queries, k)
        keys = np.where(neighbors.ids < 0, -1, neighbors.ids + start)
        ids = np.hstack([best.ids, keys])
        best = best_first(ids, np.hstack([best.scores, neighbors.scores]), k)
    return best


def index_recall(
    vectors: Vectors, queries: Vectors, results: Ids, exact: Neighbors, k: int
) -> float:
    """Return index_recall@k: the mean share of the true k nearest rows among the first k results.

    `results` holds rows of `vectors`, at least min(k, n) per query, padded with -1; `exact` is the
    result of `exact_neighbors`, at least as deep. A row as near as the last true one counts,
    whichever of several equal rows it is.
    """
    k = min(k, len(vectors))
    count = 0
    for start in range(0, len(queries), _QUERIES):
        part = slice(start, start + _QUERIES)
        rows = results[part, :k]
        scores = np.einsum("qd,qkd->qk", queries[part], vectors[rows])
        near = scores >= exact.scores[part, k - 1 : k] - _ROUNDING
        count += int((near & (rows >= 0)).sum())
    return count / (len(queries) * k)
