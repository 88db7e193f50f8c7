"""Pseudo-relevance feedback: a query moves towards the items that it finds first."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tusou.bundle.stages import FeedbackRecord
from tusou.core.arrays import Vectors
from tusou.retrieval.pages import PreparedQuery
from tusou.retrieval.retriever import NeighborRequest, find_neighbors
from tusou.retrieval.searched_items import SearchedItems


def move_queries(
    items: SearchedItems, prepared: Sequence[PreparedQuery], feedback: FeedbackRecord
) -> list[PreparedQuery]:
    """Return the queries as they are searched: Rocchio's formula without negative items.

    The mean of the first `feedback.items` vectors that a query may return is added to it with
    `feedback.weight`. A query that is not to be adjusted, or finds nothing, stays as it is.
    """
    adjusted = [each for each in prepared if each.query.adjust]
    requests = [
        NeighborRequest(
            items.as_query(each.vector, adjust=True),
            feedback.items,
            items.selection(each.query),
            each.excluded_keys,
        )
        for each in adjusted
    ]
    moved = {
        id(each): _moved(each, items.vectors(ranking.keys[: feedback.items]), feedback.weight)
        for each, ranking in zip(adjusted, find_neighbors(items.index, requests), strict=True)
        if ranking.keys
    }
    return [moved.get(id(each), each) for each in prepared]


def _moved(prepared: PreparedQuery, found: Vectors, weight: float) -> PreparedQuery:
    moved = prepared.vector + np.float32(weight) * found.mean(axis=0)
    length = np.linalg.norm(moved)
    if length < _SHORTEST:  # the items lie opposite to the query: nothing to go by
        return prepared
    return replace(prepared, moved=(moved / length).astype(np.float32))


_SHORTEST = 1e-3
