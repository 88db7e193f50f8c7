"""Rankings that a reranker may reorder before a page is cut from them."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from tusou.core.arrays import Vectors
from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.query import ItemPart, Query
from tusou.retrieval.relevance import RelevanceJudge
from tusou.retrieval.searched_items import SearchedItems
from tusou.stages.base import Reranker, RerankTask, Scores
from tusou.stages.reranking import Reranking, rerank_order


@dataclass(frozen=True, slots=True, eq=False)
class RerankCandidates:
    """The first hits of a ranking, at least to the end of the query's page, and the task."""

    query: Query
    hits: Hits  # from rank 1
    task: RerankTask  # of the first of them
    reranker: Reranker
    judge: RelevanceJudge | None = None  # None: hits have no relevance

    @property
    def index_version(self) -> str:
        """The version of the index that was searched."""
        return self.hits.index_version

    def reranked(self) -> Hits:
        """Rerank the hits, without a time limit, and return the query's page."""
        reranking = Reranking(self.task)
        reranking.run(self.reranker)
        return self.page(reranking)

    def page(self, reranking: Reranking) -> Hits:
        """Return the query's page of the ranking in the order of the scores so far."""
        scores = reranking.scores.copy()  # a reranker may still be running
        outcome = reranking.outcome(scores)
        order = rerank_order(self.task.cosines, scores, self.reranker.weight)
        hits = self.hits if not self.query.explain else _explained(self.hits, scores)
        order += range(len(order), len(hits))
        page = slice(self.query.offset, self.query.offset + self.query.top_k)
        if self.judge is None:
            return replace(hits.take(order[page]), rerank=outcome)
        hits = hits.take(order)
        judged = self.judge.judge(hits.scores, hits.adjusted_scores, _pad(scores, len(hits))[order])
        page = judged.cut(page)
        return replace(judged.add_to(hits[page], page), rerank=outcome)


Outcome: TypeAlias = Hits | RerankCandidates | TusouError


def positive_texts(query: Query) -> tuple[str, ...]:
    """Return the texts that a query searches for, without those that it refuses."""
    positive_parts = (
        part for part in query.parts if part.weight > 0 and not isinstance(part, ItemPart)
    )
    return tuple(part.text for part in positive_parts if part.text is not None)


def rerank_task(
    query: Query, vector: Vectors, hits: Hits, keys: list[int], items: SearchedItems, depth: int
) -> RerankTask:
    """Return the task to score the first `depth` hits, whose row keys are given."""
    cosines = np.array(hits.scores[:depth], np.float32)
    return RerankTask(positive_texts(query), vector, tuple(keys[:depth]), cosines, items.view)


def _explained(hits: Hits, scores: Scores) -> Hits:
    stage_scores = tuple(
        {**before, "rerank": float(score)} if np.isfinite(score) else before
        for before, score in zip(hits.stage_scores, _pad(scores, len(hits)), strict=True)
    )
    return replace(hits, stage_scores=stage_scores)


def _pad(scores: Scores, count: int) -> Scores:
    """Return the scores of all hits; NaN for those behind the reranker's depth."""
    return np.concatenate([scores, np.full(count - len(scores), np.nan, np.float32)])
