"""Runs a reranker on one ranking until its deadline, and orders the ranking by its scores."""

import logging
import math
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal, TypeAlias

import numpy as np

from tusou.core.errors import TusouError
from tusou.stages.base import Reranker, RerankTask, Scores

RerankOutcome: TypeAlias = Literal["complete", "partial", "failed"]

# Errors that a bug in a reranker, or in its library, raises.
_FAILURES = (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reranking:
    """The scores of one ranking while a reranker computes them; any thread may read them."""

    task: RerankTask
    scores: Scores = field(init=False)  # (m,); NaN where no score is known
    failed: bool = False
    stopped: bool = False  # set by a caller that no longer waits

    def __post_init__(self) -> None:
        self.scores = np.full(len(self.task.keys), np.nan, np.float32)

    def run(self, reranker: Reranker, deadline: float = math.inf) -> None:
        """Score the items until all are scored, the deadline passes or the reranker fails.

        A failure is logged and recorded, not raised: the ranking is an answer without it.
        """
        if self._is_over(deadline):
            return
        try:
            for positions, scores in reranker.score(self.task, deadline):
                values = np.asarray(scores, np.float32)
                self.scores[list(positions)] = np.where(np.isfinite(values), values, np.nan)
                if self._is_over(deadline):
                    break
        except TusouError as error:
            _log.info("the reranker failed: %s", error)  # for each query while a server is away
            self.failed = True
        except _FAILURES:
            _log.exception("the reranker failed")
            self.failed = True

    def _is_over(self, deadline: float) -> bool:
        return self.stopped or monotonic() >= deadline

    def outcome(self, scores: Scores) -> RerankOutcome:
        """Return how complete a copy of the scores is."""
        if self.failed:
            return "failed"
        return "complete" if np.isfinite(scores).all() else "partial"


def rerank_order(cosines: Scores, scores: Scores, weight: float) -> list[int]:
    """Return the positions of a ranking in their new order.

    Items with a score are ordered by (1 - weight) * cosine + weight * score, equal ones as they
    were, among the positions that they had. Items without a score (NaN) keep their positions.
    """
    order = np.arange(len(scores))
    (scored,) = np.nonzero(np.isfinite(scores))
    combined = (1 - weight) * cosines[scored] + weight * scores[scored]
    order[scored] = scored[np.argsort(-combined, kind="stable")]
    positions: list[int] = order.tolist()
    return positions
