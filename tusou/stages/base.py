"""The interface of rerankers, which score the first items of a ranking anew."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.attributes.schema import Attributes
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.core.ids import ItemId
from tusou.encoders import ModelWeights
from tusou.stages.endpoint_spec import BUNDLE_ENDPOINT, EndpointAccess

# Positions in the ranking, and their scores.
ScoredPart: TypeAlias = tuple[Sequence[int], Sequence[float]]
Scores: TypeAlias = npt.NDArray[np.float32]


class CandidateItems(Protocol):
    """The items of a ranking by row key; safe for threads."""

    @property
    def bundle(self) -> Bundle: ...

    def id_at(self, key: int, /) -> ItemId:
        """Return the id of an item."""
        ...

    def vectors(self, keys: Sequence[int]) -> Vectors:
        """Return the vectors of items in the order of their keys, (n, d)."""
        ...

    def image(self, item_id: str) -> tuple[bytes, str]:
        """Return an item's image and its media type; NoImage where items are texts."""
        ...

    def attribute_rows(
        self, keys: Sequence[int], names: Sequence[str] | None = None
    ) -> list[Attributes]:
        """Return the attributes of items, all of them or those of `names`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RerankTask:
    """One query, and the first items of its ranking."""

    texts: tuple[str, ...]  # the texts searched for, normalised; empty for an image or an item
    vector: Vectors  # (d,)
    keys: tuple[int, ...]  # row keys, best first
    cosines: Scores  # (m,)
    items: CandidateItems


@dataclass(frozen=True, slots=True)
class StageContext:
    """The bundle, the weights and the options that a stage opens its model with."""

    bundle: Bundle
    weights: ModelWeights  # of the bundle's model, or of the models of an ensemble
    device: str
    precision: str  # as requested, such as "auto"
    backend: str
    endpoint: EndpointAccess = BUNDLE_ENDPOINT


class Reranker(Protocol):
    """Scores the first items of a ranking anew, part by part."""

    depth: int  # items to score
    seconds: float  # the time limit of one query in a service
    weight: float  # items are ordered by (1 - weight) * cosine + weight * score
    threads: int  # calls that may run at once; 1 for computation

    def score(self, task: RerankTask, deadline: float) -> Iterator[ScoredPart]:
        """Yield positions in the ranking with their scores, as they become known.

        Positions that no score is known for are left out. Ends soon after `deadline`, which is in
        seconds of `time.monotonic`. Raises TusouError if it cannot go on: what it has yielded
        counts.
        """
        ...

    def warm_up(self) -> None:
        """Run the slow first pass."""
        ...
