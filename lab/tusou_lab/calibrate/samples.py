"""Judged answers of a bundle: each query searched with its right items in the pool and without."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from tusou.bundle.calibration_file import STAGE_NAMES, StageNames
from tusou.cli.progress import Progress
from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest
from tusou.core.hits import Hits
from tusou.evaluation.judgments import JudgedQuery, Judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query
from tusou.stages.calibration import RankedScores, Values
from tusou_lab.evaluate.search_queries import search_queries

_BLOCK_ROWS = 65_536  # vectors averaged together


@dataclass(frozen=True, slots=True, eq=False)
class JudgedScores:
    """The scores of the first hits of one search, and which of them are right."""

    ranked: RankedScores
    right: Values  # (depth,): 0 or 1


@dataclass(frozen=True, slots=True, eq=False)
class JudgedAnswer:
    """One query's answer with its right items in the pool, and with them removed."""

    text: str | None  # equal texts are one query for a cross-validation
    present: JudgedScores
    absent: JudgedScores

    @property
    def both(self) -> tuple[JudgedScores, JudgedScores]:
        return self.present, self.absent


@dataclass(frozen=True, slots=True, eq=False)
class PoolMean:
    """The mean vector of the items."""

    vector: Values  # (d,)
    items: int

    def without(self, vectors: Vectors) -> Values:
        """Return the mean of the items but those of some vectors, (c, d)."""
        total = self.vector * self.items - vectors.sum(axis=0, dtype=np.float64)
        mean: Values = total / max(1, self.items - len(vectors))
        return mean


def average_items(vectors: Vectors) -> PoolMean:
    """Return the mean of all rows, (n, d), read in blocks."""
    total = np.zeros(vectors.shape[1])
    for start in range(0, len(vectors), _BLOCK_ROWS):
        total += vectors[start : start + _BLOCK_ROWS].sum(axis=0, dtype=np.float64)
    return PoolMean(total / len(vectors), len(vectors))


def judge_stages(
    pipeline: SearchPipeline,
    judgments: Judgments,
    queries: Sequence[Query],
    vectors: Vectors,
    mean: PoolMean,
    progress: Progress,
) -> dict[StageNames, list[JudgedAnswer]]:
    """Return the answers after each choice of the bundle's stages, all of them last."""
    stages = pipeline.bundle.manifest.stages
    adjusts = stages.hub is not None or stages.softmax is not None or stages.feedback is not None
    judged: dict[StageNames, list[JudgedAnswer]] = {}
    for rerank, adjust in product((False, True), (False, True)):
        if (rerank and stages.rerank is None) or (adjust and not adjusts):
            continue
        name = STAGE_NAMES[adjust, rerank]
        chosen = [replace(query, adjust=adjust, rerank=rerank, explain=True) for query in queries]
        judged[name] = judge_answers(pipeline, judgments, chosen, vectors, mean, progress)
    return judged


def search_all(
    pipeline: SearchPipeline, judgments: Judgments, queries: Sequence[Query], progress: Progress
) -> list[Hits]:
    """Search for the query of each row, as `search_queries` does, with all scores of a reranker."""
    results = search_queries(pipeline, judgments, queries, progress)
    for row, hits in zip(judgments.rows, results, strict=True):
        if hits.rerank == "partial":
            raise InvalidRequest(
                f"{judgments.locate(row)}: the reranker's scores are partial; calibrate again when "
                "it works"
            )
    return results


def judge_answers(
    pipeline: SearchPipeline,
    judgments: Judgments,
    queries: Sequence[Query],
    vectors: Vectors,
    mean: PoolMean,
    progress: Progress,
) -> list[JudgedAnswer]:
    """Search for the query of each row twice; `vectors` are those of the queries, (n, d).

    Every row has a right item in the pool.
    """
    ids = pipeline.bundle.ids
    known = [
        frozenset(item for item in map(str, row.correct) if ids.key(item) is not None)
        for row in judgments.rows
    ]
    removed = [
        replace(query, exclude=query.exclude | items)
        for query, items in zip(queries, known, strict=True)
    ]
    progress.begin("searching", 2 * len(queries))
    answers: list[JudgedAnswer] = []
    present = search_all(pipeline, judgments, queries, progress)
    absent = search_all(pipeline, judgments, removed, progress)
    rows = zip(judgments.rows, queries, vectors, known, present, absent, strict=True)
    for row, query, vector, items, with_items, without in rows:
        keys = [key for key in map(ids.key, items) if key is not None]
        others = mean.without(pipeline.bundle.vector_file.rows(keys))
        answers.append(
            JudgedAnswer(
                row.text,
                _judge(row, query, with_items, float(mean.vector @ vector)),
                _judge(row, query, without, float(others @ vector)),
            )
        )
    return answers


def _judge(row: JudgedQuery, query: Query, hits: Hits, pool_cosine: float) -> JudgedScores:
    correct = set(map(str, row.correct))
    right = np.array([str(item) in correct for item in hits.item_ids], np.float64)
    return JudgedScores(rank_scores(query, hits, pool_cosine), right)


def rank_scores(query: Query, hits: Hits, pool_cosine: float) -> RankedScores:
    """Return what a relevance depends on, from hits that explain the scores of their stages.

    A query that is to be adjusted is one of a bundle that does so.
    """
    reranked = [scores.get("rerank", np.nan) for scores in hits.stage_scores]
    return RankedScores(
        np.array(hits.scores, np.float64),
        pool_cosine,
        refuses=query.refuses,
        adjusted=np.array(hits.adjusted_scores or hits.scores) if query.adjust else None,
        reranked=np.array(reranked, np.float64) if hits.rerank is not None else None,
    )
