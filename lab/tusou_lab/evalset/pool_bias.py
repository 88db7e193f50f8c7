"""The bias of a pool: the precision that a system would lose if it had not been pooled."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tusou_lab.evalset.final_grades import Pair
from tusou_lab.evalset.pool import PooledPair

DEPTH = 10


@dataclass(frozen=True, slots=True)
class SystemBias:
    """The precision@10 of a system with all judgments, and without those that only it brought."""

    system: str
    precision: float
    left_out: float

    @property
    def lost(self) -> float:
        """The precision that a similar system would seem to lose if it were not pooled."""
        return self.precision - self.left_out


def measure_bias(
    pairs: Sequence[PooledPair], grades: Mapping[Pair, int], correct_from: int, certain: int
) -> list[SystemBias]:
    """Leave every system out of the pool in turn; an item without a judgment counts as incorrect.

    A pair stays if another system has it among the first `certain`, which are judged for certain;
    lower ones might not have been drawn. Queries without a grade do not count. Of a pool of one
    system nothing would be left: the list is empty.
    """
    queries = {query for query, _ in grades}
    found: dict[str, int] = defaultdict(int)
    alone: dict[str, int] = defaultdict(int)
    for pair in pairs:
        if grades.get((pair.query_id, pair.item_id), 0) < correct_from:
            continue
        for system, rank in pair.ranks.items():
            if rank <= DEPTH:
                found[system] += 1
                others = (rank for name, rank in pair.ranks.items() if name != system)
                alone[system] += min(others, default=certain + 1) > certain
    total = DEPTH * len(queries)
    systems = sorted({system for pair in pairs for system in pair.ranks})
    if len(systems) < 2:
        return []
    return [
        SystemBias(system, found[system] / total, (found[system] - alone[system]) / total)
        for system in systems
    ]
