"""A judge for queries whose attributes decide which items fit."""

from collections.abc import Iterator, Sequence
from typing import Any

from tusou.attributes.filters import parse_filter
from tusou.attributes.table import AttributeTable
from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadDataset
from tusou_lab.evalset.judgment import Grade, Judgment, PairToJudge

_BATCH = 1000


class AttributeJudge:
    """Grades 3 if an item passes a query's whole filter, 1 if only its concept's part, else 0.

    Queries without a filter get no judgment.
    """

    name = "attributes"

    def __init__(self, bundle: Bundle) -> None:
        """Raises BadDataset for a bundle without attributes."""
        if bundle.attributes is None:
            raise BadDataset("--judge attributes: the pool has no attributes")
        self._table: AttributeTable = bundle.attributes
        self._bundle = bundle

    def judge(self, pairs: Sequence[PairToJudge], repeat: int) -> Iterator[list[Judgment]]:
        decided = [each for each in pairs if each.query.wanted is not None]
        for start in range(0, len(decided), _BATCH):
            yield [self._judge(each, repeat) for each in decided[start : start + _BATCH]]

    def _judge(self, each: PairToJudge, repeat: int) -> Judgment:
        query, key = each.query, self._bundle.key(str(each.pair.item_id))
        assert query.wanted is not None
        grade: Grade = 3 if self._passes(query.wanted, key) else 0
        if not grade and query.concept_filter and self._passes(query.concept_filter, key):
            grade = 1
        pair = each.pair
        return Judgment(pair.query_id, pair.item_id, self.name, grade, repeat=repeat)

    def _passes(self, wanted: dict[str, Any], key: int) -> bool:
        return bool(self._table.mask(parse_filter(wanted))[key])
