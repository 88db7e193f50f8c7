"""Exact search among vectors in memory, of which some are left out."""

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Neighbors, Vectors

_QUERIES = 16  # at once; they bound the memory of the scores
# Sums of some hundred products in float32 differ by less when their order does.
_ROUNDING = 1e-5


def search_exactly(
    vectors: Vectors, queries: Vectors, k: int, chosen: npt.NDArray[np.bool_], first_key: int
) -> Neighbors:
    """Return the k best of the chosen rows of `vectors` (m, d) per query, ties by key.

    Keys are the rows' positions plus `first_key`. A score does not depend on what else is searched.
    """
    ids = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.flatnonzero(chosen)
    if not k or not len(rows):
        return Neighbors(ids, scores)
    # Copying a few rows is cheaper than scoring many that are left out.
    candidates, among = (vectors[rows], rows) if 2 * len(rows) < len(vectors) else (vectors, None)
    for start in range(0, len(queries), _QUERIES):
        part = queries[start : start + _QUERIES]
        approximate = part @ candidates.T
        if among is None:
            approximate[:, ~chosen] = -np.inf
        for place, (query, row) in enumerate(zip(part, approximate, strict=True), start):
            keys, values = _best(query, row, candidates, k)
            ids[place, : len(keys)] = first_key + (keys if among is None else among[keys])
            scores[place, : len(keys)] = values
    return Neighbors(ids, scores)


def _best(
    query: Vectors, approximate: npt.NDArray[np.float32], candidates: Vectors, k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the positions of the k best candidates and their scores, best first."""
    least = -np.inf
    if len(approximate) > k:
        least = np.partition(approximate, len(approximate) - k)[len(approximate) - k]
    near = np.flatnonzero((approximate >= least - _ROUNDING) & np.isfinite(approximate))
    # Each row by itself: a matrix product rounds differently with other rows beside it.
    exact = np.array([np.dot(candidates[row], query) for row in near], np.float32)
    order = np.lexsort((near, -exact))[:k]
    return near[order], exact[order]
