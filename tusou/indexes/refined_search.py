"""The second comparison of a refined index: candidates are scored with stored vectors."""

from dataclasses import dataclass
from typing import Any, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids, Neighbors, Vectors
from tusou.indexes.base import best_first

# RerankCandidates whose vectors are copied at once; bounds the memory.
_BLOCK = 8192


class VectorRows(Protocol):
    """Stored vectors that are read by row key, such as a `VectorFile`."""

    def rows(self, keys: Ids) -> Vectors:
        """Return the vectors of row keys, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class HalfVectors:
    """Stored vectors in half precision: float16, or rounded to it when they are read."""

    vectors: npt.NDArray[np.floating[Any]]

    def rows(self, keys: Ids) -> Vectors:
        rows: Vectors = self.vectors[keys].astype(np.float16).astype(np.float32)
        return rows


def rank_candidates(
    stored: Vectors | VectorRows, queries: Vectors, candidates: Ids, k: int
) -> Neighbors:
    """Return the k best candidates per query by inner product, ties by id, padded to k.

    `candidates` (n, m) are row keys, padded with -1.
    """
    if candidates.shape[1] < k or not candidates.size:
        return best_first(candidates, _scores(stored, queries, candidates), k)
    candidates.sort(axis=1)  # stored vectors are read in order, and ties come by id
    scores = _scores(stored, queries, candidates)
    if len(queries) == 1:
        order = np.argsort(-scores[0], kind="stable")[:k]
        return Neighbors(candidates[:, order], scores[:, order])
    last = scores.shape[1] - k
    best = scores >= np.partition(scores, last, axis=1)[:, last, None]
    if np.count_nonzero(best) != len(queries) * k:  # ties with the last one, or padding
        return best_first(candidates, scores, k)
    ids, scores = candidates[best].reshape(-1, k), scores[best].reshape(-1, k)
    orders = np.argsort(-scores, axis=1, kind="stable")
    return Neighbors(np.take_along_axis(ids, orders, 1), np.take_along_axis(scores, orders, 1))


def inner_products(
    stored: Vectors, rows: Ids, queries: Vectors, query_rows: Ids
) -> npt.NDArray[np.float32]:
    """Return the inner products of pairs: a row of the stored vectors and one of the queries.

    A pair's sum is always formed in the same order, unlike in a matrix product, so that equal
    vectors have equal scores.
    """
    scores = np.empty(len(rows), np.float32)
    pointer: Any = faiss.swig_ptr
    faiss.pairwise_indexed_inner_product(  # type: ignore[attr-defined]
        stored.shape[1],
        len(rows),
        *map(pointer, (queries, query_rows, stored, rows, scores)),
    )
    return scores


def _scores(
    stored: Vectors | VectorRows, queries: Vectors, candidates: Ids
) -> npt.NDArray[np.float32]:
    """Return the scores of candidates (n, m); those of padding are -inf."""
    width = candidates.shape[1]
    keys = candidates.ravel()
    query_rows = np.repeat(np.arange(len(queries)), width)
    padded = bool((keys < 0).any())
    known = np.maximum(keys, 0) if padded else keys
    if isinstance(stored, np.ndarray):
        scores = inner_products(stored, known, queries, query_rows)
    else:
        parts = (slice(start, start + _BLOCK) for start in range(0, len(known), _BLOCK))
        scores = np.concatenate(
            [np.empty(0, np.float32)]
            + [_read_and_score(stored, known[part], queries, query_rows[part]) for part in parts]
        )
    if padded:
        scores[keys < 0] = -np.inf
    return scores.reshape(candidates.shape)


def _read_and_score(
    stored: VectorRows, keys: Ids, queries: Vectors, query_rows: Ids
) -> npt.NDArray[np.float32]:
    """Score pairs of row keys and queries; a vector that several queries need is read once."""
    unique, rows = np.unique(keys, return_inverse=True)
    return inner_products(stored.rows(unique), rows.astype(np.int64), queries, query_rows)
