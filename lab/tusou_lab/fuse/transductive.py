"""Dual softmax over a whole set of queries, which no service that answers one query can do.

X. Cheng et al., Improving Video-Text Retrieval by Multi-Stream Corpus Alignment and Dual Softmax
Loss (2021).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tusou.core.arrays import Ids
from tusou.core.ids import ItemId
from tusou_lab.fuse.candidates import Candidates, Scores

# Chinese-CLIP's trained logit scale, at its upper limit.
_SCALE = 100.0


def dual_softmax(candidates: Sequence[Candidates]) -> list[Candidates]:
    """Multiply each score by the softmax of its item's scores over all queries of the run.

    An item that many queries find scores lower for each of them. Queries for which a run does not
    return the item do not count. The items' order in a run follows the new scores.
    """
    runs = candidates[0].ranks.shape[1] if candidates else 0
    scores = [query.scores.copy() for query in candidates]
    for run in range(runs):
        places: dict[ItemId, list[tuple[int, int]]] = defaultdict(list)
        for number, query in enumerate(candidates):
            for row in np.flatnonzero(query.returned[:, run]).tolist():
                places[query.items[row]].append((number, row))
        for entries in places.values():
            values = np.array([candidates[number].scores[row, run] for number, row in entries])
            shares = np.exp(_SCALE * (values - values.max()))
            shares /= shares.sum()
            for (number, row), value in zip(entries, values * shares, strict=True):
                scores[number][row, run] = value
    return [
        replace(query, scores=new, ranks=_ranks(query, new))
        for query, new in zip(candidates, scores, strict=True)
    ]


def _ranks(query: Candidates, scores: Scores) -> Ids:
    """Return the ranks of a query's items by new scores, ties by the ranks they had."""
    ranks = np.zeros_like(query.ranks)
    for run in range(ranks.shape[1]):
        rows = np.flatnonzero(query.returned[:, run])
        order = rows[np.lexsort((query.ranks[rows, run], -scores[rows, run]))]
        ranks[order, run] = np.arange(1, len(order) + 1)
    return ranks
