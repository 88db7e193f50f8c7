"""What a vector index promises, whichever engine is behind it."""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Ids, Neighbors, Vectors


class VectorIndex(Protocol):
    """Nearest neighbours by inner product over unit vectors: a higher score is closer.

    Implementations hold no product data and know no metric but this one. They may be
    approximate in *which* ids they return, never in the score they report for an id,
    unless they declare `exact_scores = False` (product quantisation does).
    """

    @property
    def exact_scores(self) -> bool:
        """Tell whether reported scores are true inner products."""
        ...

    @property
    def dim(self) -> int:
        """Give the length of a vector."""
        ...

    def __len__(self) -> int:
        """Count the stored vectors."""
        ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Store vectors under new ids; the caller guarantees they are new."""
        ...

    def search(self, queries: Vectors, k: int) -> Neighbors:
        """Return the k best per query, ties by id; safe to call from several threads."""
        ...

    def tune(self, tuning: str) -> None:
        """Set search parameters in the engine's language; InvalidRequest if it knows none such."""
        ...

    def save(self, path: Path) -> None:
        """Write the index to one file."""
        ...


def best_first(ids: Ids, scores: npt.NDArray[np.float32]) -> Neighbors:
    """Order each row of (n, k) candidates by score, equal scores by id, padding last."""
    if (scores[:, :-1] > scores[:, 1:]).all():  # as an engine gives them, but for equals
        return Neighbors(ids, scores)
    order = np.lexsort((ids, -scores), axis=1)
    return Neighbors(np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1))
