"""Nearest neighbors of query vectors, ties included."""

from collections.abc import Sequence

import numpy as np

from tusou.core.arrays import Neighbors, Vectors
from tusou.indexes import VectorIndex

# Repeats of a search with twice the neighbors, to see all items that tie at the end.
_TIE_ROUNDS = 3


def find_neighbors(
    index: VectorIndex, vectors: Sequence[Vectors], counts: Sequence[int]
) -> Neighbors:
    """Return at least `counts[i]` neighbors of the i-th vector, or the whole index.

    All rows have the same width. Items that tie with the last one needed are returned too: which of
    several equal items an index returns changes with the number asked for, so the pages of one
    ranking would repeat some of them and lose others.
    """
    queries, size = np.stack(vectors), len(index)
    last_needed = np.minimum(counts, size)[:, None] - 1
    width = min(max(counts) + 1, size)  # one more shows whether the last one ties
    neighbors = index.search(queries, width)
    for _ in range(_TIE_ROUNDS):
        last = neighbors.scores[:, -1]
        ties = np.take_along_axis(neighbors.scores, last_needed, 1)[:, 0] == last
        if width == size or not ties[np.isfinite(last)].any():
            break
        width = min(2 * width, size)
        neighbors = index.search(queries, width)
    return neighbors
