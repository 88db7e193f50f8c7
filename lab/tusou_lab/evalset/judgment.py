"""Judgments of pairs, and the judges that give them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from tusou.core.ids import ItemId
from tusou_lab.evalset.plan import PlannedQuery
from tusou_lab.evalset.pool import PooledPair

Grade: TypeAlias = Literal[0, 1, 2, 3]


@dataclass(frozen=True, slots=True)
class Judgment:
    """The grade of one pair by one judge; None where the judge gave none."""

    query_id: int
    item_id: ItemId
    judge: str  # attributes, a model with the digest of its prompts, or a person
    grade: Grade | None
    reason: str = ""
    repeat: int = 0  # of the same judge, from 0
    content: str = ""  # digest of the image, of a judge that asks about equal images once
    tokens: int = 0  # that the judgment cost
    answer_tokens: int = 0  # those of them that the judge wrote


@dataclass(frozen=True, slots=True)
class PairToJudge:
    """A drawn pair with its query."""

    query: PlannedQuery
    pair: PooledPair


class Judge(Protocol):
    """Gives grades: 3 fits entirely, 2 mostly, 1 is related, 0 does not fit."""

    @property
    def name(self) -> str:
        """The name in the judgments; it differs for another guideline or model."""
        ...

    def judge(self, pairs: Sequence[PairToJudge], repeat: int) -> Iterator[list[Judgment]]:
        """Yield batches of judgments as they are made, in any order."""
        ...
