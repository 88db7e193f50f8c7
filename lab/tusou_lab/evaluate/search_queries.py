"""Searches for the query of every row of a judgments file, in batches, as the service would."""

from collections.abc import Sequence
from itertools import pairwise

from tusou.cli.progress import Progress
from tusou.core.errors import BadDataset, InvalidRequest, TusouError
from tusou.core.hits import Hits
from tusou.evaluation.judgments import Judgments
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query

_BATCH_SIZE = 256  # queries searched together


def search_queries(
    pipeline: SearchPipeline, judgments: Judgments, queries: Sequence[Query], progress: Progress
) -> list[Hits]:
    """Return the hits of the query of each row, in order.

    BadDataset names a row whose query is refused. Raises InvalidRequest where the bundle's reranker
    fails: what would be measured is another ranking than the bundle's.
    """
    hits: list[Hits] = []
    for start in range(0, len(queries), _BATCH_SIZE):
        batch = slice(start, start + _BATCH_SIZE)
        results = pipeline.search(queries[batch]).hits
        for row, result in zip(judgments.rows[batch], results, strict=True):
            if isinstance(result, TusouError):
                raise BadDataset(f"{judgments.locate(row)}: {result}")
            if result.rerank == "failed":
                raise InvalidRequest(
                    f"{judgments.locate(row)}: the bundle's reranker failed; the log says why. Run "
                    "the command again when it works, or remove the reranker: `tusou stages "
                    "--no rerank`"
                )
            hits.append(result)
        progress.advance(len(results))
    return hits


def ordering_scores(hits: Hits) -> tuple[float, ...] | None:
    """Return the scores that a ranking is ordered by; None if it is not ordered by scores.

    Those of a reranked or softened ranking do not descend, and programs that sort by score would
    change its order.
    """
    scores = hits.adjusted_scores or hits.scores
    descending = all(first >= second for first, second in pairwise(scores))
    return scores if hits.rerank is None and descending else None
