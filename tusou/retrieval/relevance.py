"""The relevance of the hits of one query, and the hits that are left out for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tusou.core.arrays import Vectors
from tusou.core.errors import ErrorDetail, NotCalibrated
from tusou.core.hits import Hits
from tusou.encoders.student.folder import Student
from tusou.retrieval.query import Query
from tusou.stages.base import Scores
from tusou.stages.calibration import Calibration, RankedScores, Relevances


@dataclass(frozen=True, slots=True, eq=False)
class RelevanceJudge:
    """Gives the hits of one query their relevance."""

    calibration: Calibration
    query: Query
    pool_cosine: float

    def judge(
        self,
        cosines: Sequence[float],
        adjusted: Sequence[float] = (),
        reranked: Scores | None = None,
    ) -> "RankingRelevance":
        """Judge the first hits of a ranking, from rank 1, in the order in which they are shown."""
        ranked = RankedScores(
            np.array(cosines, np.float64),
            self.pool_cosine,
            self.query.refuses,
            np.array(adjusted, np.float64) if adjusted else None,
            None if reranked is None else np.asarray(reranked, np.float64),
        )
        return RankingRelevance(self.calibration.relevances(ranked), self.query.min_relevance)


@dataclass(frozen=True, slots=True, eq=False)
class RankingRelevance:
    """The relevances of the first hits of a ranking, and the least that a hit must have."""

    relevances: Relevances
    least: float | None

    @property
    def _end(self) -> int:
        """The number of hits that are relevant enough: the first ones."""
        hits = self.relevances.hits
        return len(hits) if self.least is None else int(np.count_nonzero(hits >= self.least))

    def cut(self, page: slice) -> slice:
        """Return the part of a page whose hits are relevant enough."""
        return slice(page.start, max(page.start, min(page.stop, self._end)))

    def add_to(self, hits: Hits, page: slice) -> Hits:
        """Return the hits of a page with their relevance."""
        matched = self.relevances.fits if self.least is None else self._end > 0
        return replace(
            hits,
            relevance=tuple(self.relevances.hits[page].tolist()),
            answer_relevance=self.relevances.answer,
            matched=matched,
        )


def open_judge(
    calibration: Calibration | None, query: Query, vector: Vectors, student: Student | None = None
) -> RelevanceJudge | None:
    """Return what judges the hits of a query; None without a calibration for its kind.

    There is none for texts that a student encodes: it was fitted on the scores of its teacher.

    Raises NotCalibrated for a query that then asks for a least relevance.
    """
    taught = student is not None and (query.kind == "texts" or bool(query.texts))
    if calibration is not None and query.kind == calibration.query_kind and not taught:
        return RelevanceJudge(calibration, query, calibration.pool_cosine(vector))
    if query.min_relevance is not None:
        message = (
            "The index has no calibration; run tusou calibrate."
            if calibration is None
            else f"The calibration of the index is for queries that {student.record.teacher.name} "
            f"encodes, and {student.name} encodes these; ask the teacher."
            if student is not None and taught
            else f"The calibration of the index is for queries of {calibration.query_kind} alone."
        )
        raise NotCalibrated(
            details=[ErrorDetail(("body", "min_relevance"), "not_calibrated", message)]
        )
    return None
