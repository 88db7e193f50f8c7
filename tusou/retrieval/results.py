"""What a search gives back: hits, how long each stage took, embeddings."""

from dataclasses import dataclass

from tusou.core.arrays import ItemId, Vectors
from tusou.core.errors import TusouError


@dataclass(frozen=True, slots=True)
class Hits:
    """One query's answer, best first."""

    item_ids: tuple[ItemId, ...]
    scores: tuple[float, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds that one batch spent in each stage."""

    tokenise: float
    encode: float
    search: float


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What one batch of queries found; an error stands where one query cannot be answered."""

    hits: tuple[Hits | TusouError, ...]
    times: StageTimes
    remembered: int = 0  # queries whose vector was known from before


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """Texts as unit vectors, and how many tokens of each were read."""

    vectors: Vectors
    tokens: tuple[int, ...]
