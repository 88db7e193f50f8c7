"""A fixed random sample of a pool: items to show, and the scores of random pairs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Vectors
from tusou.core.ids import ItemId

_SAMPLE_ROWS = 1000
_SHOWN_ROWS = 12
_QUANTILE = 0.99
_SEED = 0


@dataclass(frozen=True, slots=True)
class PoolSample:
    """A sample that is the same at every start of a version, and the scores of random pairs.

    A score says little by itself: the score of an unrelated query depends on the model and the
    pool. One in a hundred random pairs of a query and an item has at least the score given here.
    """

    item_ids: tuple[ItemId, ...]  # at most 12, in random order
    text_score: float | None  # of pairs of a general product query and an item; None without them
    item_score: float | None  # of pairs of two items; None in a pool of one


def draw_sample(
    vectors: VectorFile, id_of: Callable[[int], ItemId], query_vectors: Vectors
) -> PoolSample:
    """Sample the items' vectors; `query_vectors`, (m, d), are those of general queries.

    `id_of` returns the item id of a row. Without queries there is no score of texts.
    Reads at most 1,000 rows.
    """
    count = min(_SAMPLE_ROWS, len(vectors))
    keys = np.random.default_rng(_SEED).choice(len(vectors), count, replace=False)
    rows = vectors.rows(np.sort(keys).tolist())
    pairs = (rows @ rows.T)[~np.eye(count, dtype=bool)]
    return PoolSample(
        tuple(map(id_of, keys[:_SHOWN_ROWS].tolist())),
        float(np.quantile(query_vectors @ rows.T, _QUANTILE)) if len(query_vectors) else None,
        float(np.quantile(pairs, _QUANTILE)) if count > 1 else None,
    )
