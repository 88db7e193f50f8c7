"""The items that several runs return for the same queries, with the scores of each run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tusou.core.errors import InvalidRequest
from tusou.core.ids import ItemId
from tusou.evaluation.runs import Run, quote_id

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The items of one query in any of r runs, in the order in which they first appear."""

    query_id: ItemId
    items: tuple[ItemId, ...]  # u items, first the best of each run, then the second, ...
    ranks: npt.NDArray[np.int64]  # (u, r), from 1; 0 where a run does not return the item
    scores: Scores  # (u, r), NaN where a run does not return the item

    @property
    def returned(self) -> npt.NDArray[np.bool_]:
        """Return a mask of the items that each run returns, (u, r)."""
        return np.greater(self.ranks, 0)


def collect_candidates(
    runs: Sequence[Run], queries: Iterable[ItemId], *, with_scores: bool
) -> list[Candidates]:
    """Return the candidates of each query; InvalidRequest if scores are needed and a run has none.

    Every run must rank every query. Without scores, those of a run are NaN.
    """
    return [_collect(runs, query, with_scores=with_scores) for query in queries]


def _collect(runs: Sequence[Run], query: ItemId, *, with_scores: bool) -> Candidates:
    rankings = [run.rankings[query] for run in runs]
    positions: dict[ItemId, int] = {}
    for rank in range(max(map(len, rankings), default=0)):
        for ranking in rankings:
            if rank < len(ranking):
                positions.setdefault(ranking[rank], len(positions))
    ranks = np.zeros((len(positions), len(runs)), np.int64)
    scores = np.full(ranks.shape, np.nan)
    for column, (run, ranking) in enumerate(zip(runs, rankings, strict=True)):
        rows = [positions[item] for item in ranking]
        ranks[rows, column] = np.arange(1, len(ranking) + 1)
        if with_scores:
            scores[rows, column] = _scores(run, query, column)
    return Candidates(query, tuple(positions), ranks, scores)


def _scores(run: Run, query: ItemId, column: int) -> Sequence[float]:
    if query not in run.scores:
        raise InvalidRequest(
            f"run {column + 1} has no scores for query {quote_id(query)}; fuse by rrf or votes, or "
            "with --normalise rank"
        )
    return run.scores[query]
