"""The pairs that people check: a sample balanced over styles and grades."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from tusou_lab.evalset.final_grades import Pair
from tusou_lab.evalset.judgment import PairToJudge

_Stratum = tuple[str, int | None]  # a style, and the grade that a judge gave


def sample_pairs(
    pairs: Sequence[PairToJudge], grades: Mapping[Pair, int], count: int, seed: int
) -> list[PairToJudge]:
    """Return at most `count` pairs, equally many of each style and grade as far as there are.

    The order is by query, and by chance within a query, so that it tells nothing about the grades.
    The same seed gives the same pairs.
    """
    strata: dict[_Stratum, list[PairToJudge]] = defaultdict(list)
    for each in sorted(pairs, key=lambda each: _digest(each, seed)):
        grade = grades.get((each.pair.query_id, each.pair.item_id))
        strata[each.query.style, grade].append(each)
    chosen: list[PairToJudge] = []
    rows = [strata[key] for key in sorted(strata, key=str)]
    for place in range(max(map(len, rows), default=0)):
        for row in rows:
            if place < len(row) and len(chosen) < count:
                chosen.append(row[place])
    return sorted(chosen, key=lambda each: (each.query.query_id, _digest(each, seed)))


def _digest(each: PairToJudge, seed: int) -> bytes:
    text = f"{seed}\0{each.query.query_id}\0{each.pair.item_id}"
    return blake2b(text.encode(), digest_size=8).digest()
