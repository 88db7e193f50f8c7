"""Exact search among some of the stored vectors."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
import numpy.typing as npt

from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.indexes.base import best_first
from tusou.indexes.refined_search import inner_products

# Vectors copied and compared at once; bounds the memory.
_BLOCK = 8192
# Vectors compared at once where they are.
_IN_PLACE_BLOCK = 1 << 20
# The number of queries from which copying the vectors for a matrix product is faster than
# comparing each query with them in place.
_PRODUCT_QUERIES = 8
# A matrix product adds in another order; unit vectors differ by less than this.
_ROUNDING = 1e-5
# Comparisons that one thread makes in a millisecond or two.
_SHORT_SEARCH = 20_000

_Scores = npt.NDArray[np.float32]


def search_subset(vectors: Vectors | VectorFile, queries: Vectors, k: int, keys: Ids) -> Neighbors:
    """Return the k best per query among the vectors of row keys, ties by key, padded to k.

    `keys` (m,) ascend. The score of a pair is the same for every k, subset and number of queries,
    so that equal vectors have equal scores.
    """
    count = len(queries)
    best = Neighbors(np.empty((count, 0), np.int64), np.empty((count, 0), np.float32))
    in_place = isinstance(vectors, np.ndarray) and count < _PRODUCT_QUERIES
    size = _IN_PLACE_BLOCK if in_place else _BLOCK
    with faiss_threads(1 if count * len(keys) <= _SHORT_SEARCH else 0):
        for start in range(0, len(keys), size):
            block = keys[start : start + size]
            if isinstance(vectors, np.ndarray):
                neighbors = _search_block(vectors, block, queries, k)
            else:
                stored, rows = vectors.rows(block), np.arange(len(block))
                neighbors = _search_block(stored, rows, queries, k)
                neighbors = Neighbors(
                    np.where(neighbors.ids < 0, -1, block[neighbors.ids]), neighbors.scores
                )
            ids = np.hstack([best.ids, neighbors.ids])
            best = best_first(ids, np.hstack([best.scores, neighbors.scores]), k)
    return best_first(best.ids, best.scores, k)


@contextmanager
def faiss_threads(count: int) -> Iterator[None]:
    """Set the number of FAISS's threads for calls from this thread; 0 leaves it as it is."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _search_block(stored: Vectors, rows: Ids, queries: Vectors, k: int) -> Neighbors:
    """Return the k best rows per query, padded to k; `rows` ascend."""
    ids = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    if len(queries) < _PRODUCT_QUERIES:
        candidates: Iterator[Ids] = (rows for _ in queries)
    else:
        candidates = (rows[near] for near in _near(stored, rows, queries, k))
    for number, candidate_rows in enumerate(candidates):
        query = np.full(len(candidate_rows), number, np.int64)
        row_scores = inner_products(stored, candidate_rows, queries, query)
        best = _best_positions(row_scores, k)
        ids[number, : len(best)] = candidate_rows[best]
        scores[number, : len(best)] = row_scores[best]
    return Neighbors(ids, scores)


def _near(stored: Vectors, rows: Ids, queries: Vectors, k: int) -> Iterator[Ids]:
    """Yield for each query the positions in `rows` that can be among its k best."""
    whole = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows)
    block = stored[rows[0] : rows[-1] + 1] if whole else stored[rows]
    for row_scores in queries @ block.T:
        if len(rows) <= k:
            yield np.arange(len(rows))
        else:
            last = np.partition(row_scores, len(rows) - k)[len(rows) - k]
            yield np.flatnonzero(row_scores >= last - _ROUNDING)


def _best_positions(scores: _Scores, k: int) -> Ids:
    """Return the positions of the k best scores, best first, ties by position."""
    positions = np.arange(len(scores))
    if k < len(scores):
        last = np.partition(scores, len(scores) - k)[len(scores) - k]
        positions = np.flatnonzero(scores >= last)
    best: Ids = positions[np.argsort(-scores[positions], kind="stable")[:k]]
    return best
