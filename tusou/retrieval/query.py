"""What one query asks for: texts, images and items of the pool, wanted or refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np

from tusou.core.arrays import Vectors
from tusou.core.errors import InvalidRequest

# Parts whose sum is shorter than this have cancelled out: what is left is rounding.
_SHORTEST_SUM = 1e-3


@dataclass(frozen=True, slots=True)
class TextPart:
    """A normalised text; of negative weight where less like it is wanted."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ItemPart:
    """An image of the pool, by its item's id as text."""

    item_id: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class VectorPart:
    """An image that was encoded before, by the weights of this digest."""

    vector: Vectors  # one unit row, (d,)
    model: str
    weight: float = 1.0


Part: TypeAlias = TextPart | ItemPart | VectorPart


@dataclass(frozen=True, slots=True)
class Query:
    """One query: signed parts, which stretch of the answer is wanted, and what it leaves out.

    A part's weight is never zero, and at least one is positive. Items named by a part are never
    in the answer.
    """

    parts: tuple[Part, ...]
    top_k: int
    offset: int = 0
    exclude: frozenset[str] = frozenset()

    @classmethod
    def of_text(cls, query: str, top_k: int) -> Self:
        """Ask for a text and nothing else."""
        return cls((TextPart(query),), top_k)

    @property
    def is_text(self) -> bool:
        """Whether it is for one text and nothing else."""
        return len(self.parts) == 1 and isinstance(self.parts[0], TextPart)

    @property
    def depth(self) -> int:
        """How many neighbours hold the answer, whatever is left out."""
        return self.offset + self.top_k + len(self.left_out)

    @property
    def left_out(self) -> frozenset[str]:
        """The ids that no answer may hold."""
        named = [part.item_id for part in self.parts if isinstance(part, ItemPart)]
        return self.exclude.union(named) if named else self.exclude

    @property
    def items(self) -> tuple[ItemPart, ...]:
        """The parts that are items of the pool."""
        return tuple(part for part in self.parts if isinstance(part, ItemPart))

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts to encode, in the order of the parts."""
        return tuple(part.text for part in self.parts if isinstance(part, TextPart))


def combine(parts: Sequence[Part], vectors: Sequence[Vectors]) -> Vectors | InvalidRequest:
    """Return the weighted sum of the parts' unit vectors at unit length.

    One part alone keeps its vector to the last bit. Parts that cancel out are an InvalidRequest.
    """
    if len(parts) == 1:
        return vectors[0]
    weights = np.array([part.weight for part in parts], np.float32)
    total: Vectors = weights @ np.stack(vectors)
    length = float(np.linalg.norm(total))
    if length < _SHORTEST_SUM * float(np.abs(weights).max()):
        return InvalidRequest("the parts of the query cancel each other out")
    return total / np.float32(length)
