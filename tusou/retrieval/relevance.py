"""The relevance of the hits of one query, and the hits that are left out for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tusou.core.arrays import Vectors
from tusou.core.errors import ErrorDetail, NotCalibrated
from tusou.core.hits import Hits
from tusou.encoders.student.folder import Student
from tusou.retrieval.query import ItemPart, Query
from tusou.stages.base import Scores
from tusou.stages.calibration import Calibration, RankedScores, Relevances
from tusou.text.negation import parse_negation


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

    There is none for texts that a student encodes: it was fitted on the scores of its teacher. Nor
    is there one for a query whose refusals are read otherwise than they were at the calibration.

    Raises NotCalibrated for a query that then asks for a least relevance.
    """
    taught = student is not None and (query.kind == "texts" or bool(query.texts))
    if calibration is None:
        reason = "The index has no calibration; run tusou calibrate."
    elif student is not None and taught:
        reason = (
            f"The calibration of the index is for queries that {student.record.teacher.name} "
            f"encodes, and {student.name} encodes these; ask the teacher."
        )
    elif query.kind != calibration.query_kind:
        reason = f"The calibration of the index is for queries of {calibration.query_kind} alone."
    elif not _is_read_as_fitted(query, calibration):
        reason = (
            "The calibration of the index is for queries whose refusals are subtracted, and those "
            "of this one are not; leave out interpret."
            if calibration.interpret
            else "The calibration of the index is for queries without refused parts: their texts "
            "are searched as written; send interpret: false, and nothing negative."
        )
    else:
        return RelevanceJudge(calibration, query, calibration.pool_cosine(vector))
    if query.min_relevance is not None:
        raise NotCalibrated(
            details=[ErrorDetail(("body", "min_relevance"), "not_calibrated", reason)]
        )
    return None


def _is_read_as_fitted(query: Query, calibration: Calibration) -> bool:
    """Return whether a query's refusals are subtracted as the calibration's queries had them.

    The scores of 不带拉链的包 are others when the words are searched as written: hits that have
    what the text refuses would get the relevance of hits that have not.
    """
    if calibration.query_kind != "texts":
        return True
    if not calibration.interpret:
        return not query.refuses
    if query.understood is not None:
        return True
    texts = (
        part.text for part in query.parts if not isinstance(part, ItemPart) and part.weight > 0
    )
    return not any(text is not None and parse_negation(text) for text in texts)
