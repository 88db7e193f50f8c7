"""The stages of a bundle's searches: what is done before and after the index is searched."""

from collections.abc import Sequence
from dataclasses import replace

from tusou.bundle.bundle import Bundle
from tusou.core.hits import Hits
from tusou.encoders.student.folder import Student
from tusou.retrieval.feedback import move_queries
from tusou.retrieval.pages import FoundPage, PreparedQuery
from tusou.retrieval.query import Query
from tusou.retrieval.relevance import open_judge
from tusou.retrieval.rerank_candidates import RerankCandidates, positive_texts, rerank_task
from tusou.retrieval.searched_items import SearchedItems
from tusou.stages import open_reranker
from tusou.stages.base import Reranker, StageContext
from tusou.stages.calibration import Calibration


class StageRunner:
    """Runs the stages that a bundle's manifest names."""

    def __init__(
        self, bundle: Bundle, context: StageContext | None, student: Student | None = None
    ) -> None:
        """Open the models of the stages, with errors as for `open_reranker`.

        Without a context, for a bundle without an encoder, nothing is reranked. A calibration was
        fitted on the model's scores: those of a student's texts get no relevance.
        """
        stages, content = bundle.manifest.stages, bundle.calibration
        self._feedback, self._student = stages.feedback, student
        self._calibration = None if content is None else Calibration(content)
        self.reranker: Reranker | None = None
        if stages.rerank is not None and context is not None:
            self.reranker = open_reranker(context, stages.rerank)

    @property
    def has_feedback(self) -> bool:
        """Return whether queries are moved towards the first items that they find."""
        return self._feedback is not None

    def warm_up(self) -> None:
        """Run the slow first passes."""
        if self.reranker is not None:
            self.reranker.warm_up()

    def prepare(self, prepared: PreparedQuery) -> PreparedQuery:
        """Return a query with what the later stages need; NotCalibrated."""
        judge = open_judge(self._calibration, prepared.query, prepared.vector, self._student)
        return replace(prepared, judge=judge, depth=self._depth(prepared.query))

    def adjust(
        self, items: SearchedItems, prepared: Sequence[PreparedQuery]
    ) -> list[PreparedQuery]:
        """Return queries as they are searched."""
        if self._feedback is None:
            return list(prepared)
        return move_queries(items, prepared, self._feedback)

    def outcome(
        self, items: SearchedItems, prepared: PreparedQuery, page: FoundPage
    ) -> Hits | RerankCandidates:
        """Return the hits of a page, or what a reranker needs to finish it."""
        hits, keys = page
        if not prepared.depth or self.reranker is None:
            return hits
        query = prepared.query
        task = rerank_task(query, prepared.vector, hits, keys, items, prepared.depth)
        return RerankCandidates(query, hits, task, self.reranker, prepared.judge)

    def _depth(self, query: Query) -> int:
        """Return how many hits are reranked.

        A reranker reads what is searched for: an image or an item has no text.
        """
        if self.reranker is None or not query.rerank or not positive_texts(query):
            return 0
        return self.reranker.depth
