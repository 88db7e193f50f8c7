"""Results of a batch: hits with the time of each stage, or text embeddings."""

from dataclasses import dataclass

from tusou.core.arrays import Vectors
from tusou.core.errors import TusouError
from tusou.core.hits import Hits
from tusou.retrieval.rerank_candidates import Outcome


@dataclass(frozen=True, slots=True)
class SearchResults:
    """The results of a batch, in the order of its queries."""

    hits: tuple[Hits | TusouError, ...]  # an error for each query that failed
    times: dict[str, float]  # seconds by stage: tokenise, encode, search, rerank
    cache_hits: int = 0  # texts whose vectors were cached


@dataclass(frozen=True, slots=True)
class RetrievedBatch:
    """The outcomes of a batch before reranking, in the order of its queries."""

    outcomes: tuple[Outcome, ...]  # `RerankCandidates` for each query whose hits are to be reranked
    times: dict[str, float]  # seconds by stage: tokenise, encode, adjust if it is there, search
    cache_hits: int = 0  # texts whose vectors were cached


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """Texts as unit vectors."""

    vectors: Vectors  # (n, d)
    tokens: tuple[int, ...]  # how many tokens of each text the model read
    index_version: str = ""  # the version of the index whose model encoded them

    def split(self) -> list["TextEmbeddings"]:
        """Return the embedding of each text alone."""
        return [
            TextEmbeddings(self.vectors[n : n + 1], (count,), self.index_version)
            for n, count in enumerate(self.tokens)
        ]
