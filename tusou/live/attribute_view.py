"""Attributes of a version's items with the changes to them, as one snapshot sees them."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.attributes.filters import AllOf, AnyOf, Condition, Filter, Not, check_filter
from tusou.attributes.schema import Attributes, AttributeSchema, AttributeValue
from tusou.attributes.table import FACET_VALUES, AttributeTable
from tusou.core.arrays import Ids
from tusou.live.attribute_rows import AttributeRows, ValueCodes

Mask: TypeAlias = npt.NDArray[np.bool_]


class AttributeView:
    """The attributes by row key: those of the version, and the rows that replace them."""

    def __init__(
        self,
        table: AttributeTable,
        rows: AttributeRows,
        current: Mask,  # (r,), the rows that hold, of items that are there
        schema: AttributeSchema,
        codes: dict[str, ValueCodes],  # shared by all snapshots, filled at the first use
    ) -> None:
        self.schema = schema
        self._table, self._rows, self._current, self._codes = table, rows, current, codes
        self._owners = rows.owners(len(current))

    @property
    def replaced_keys(self) -> Ids:
        """The row keys of the items whose attributes have been set since the version was made."""
        return np.sort(self._owners[self._current])

    def row(self, key: int, names: Sequence[str] | None = None) -> Attributes:
        """Return the attributes of an item, all of them or those of `names`."""
        row = self._rows.row(key, len(self._current))
        if row is None:
            known = (
                None if names is None else [name for name in names if name in self._table.schema]
            )
            return self._table.rows([key], known)[0]
        values = self._rows.values[row]
        return values if names is None else {n: values[n] for n in names if n in values}

    def rows(self, keys: Iterable[int], names: Sequence[str] | None = None) -> list[Attributes]:
        """Return the attributes of items in the order of their keys."""
        return [self.row(key, names) for key in keys]

    def mask(self, selected: Filter, size: int) -> Mask:
        """Return which items pass a filter, (size,), by row key; removed ones are not left out.

        Raises InvalidRequest as `check_filter` does.
        """
        check_filter(selected, self.schema)
        mask = np.zeros(size, np.bool_)
        mask[: len(self._table)] = self._table.mask(self.of_version(selected))
        for part, table in self._rows.blocks(self.schema, len(self._current)):
            current = self._current[part]
            mask[self._owners[part][current]] = table.mask(selected)[current]
        return mask

    def of_version(self, selected: Filter) -> Filter:
        """Return a filter of the version's attributes for the items whose have not changed."""
        return _within(selected, self._table.schema)

    def facet(
        self, name: str, mask: Mask, limit: int = FACET_VALUES
    ) -> list[tuple[AttributeValue, int]]:
        """Return the values that most items of the mask have, most first, then in their order."""
        counts: dict[AttributeValue, int] = {}  # no lists: each string counts
        if name in self._table.schema:
            of_version = mask[: len(self._table)].copy()
            replaced = self._owners[self._current]
            of_version[replaced[replaced < len(self._table)]] = False
            _add(counts, self._table.facet(name, of_version, len(self._table)))
        for part, table in self._rows.blocks(self.schema, len(self._current)):
            chosen = self._current[part] & mask[self._owners[part]]
            if chosen.any():
                _add(counts, table.facet(name, chosen, len(table) * _STRINGS))
        ordered = sorted(counts.items(), key=lambda count: count[0])
        return sorted(ordered, key=lambda count: -count[1])[:limit]

    def codes(self, name: str, size: int) -> Ids:
        """Return equal codes for equal values, (size,); an item without one has its own."""
        known = self._codes.get(name)
        if known is None:
            known = self._codes.setdefault(name, ValueCodes(self._table, name))
        codes = -1 - np.arange(size)
        if known.of_version is not None:
            codes[: len(self._table)] = known.of_version
        of_rows = known.of_rows(self._rows, len(self._current))[self._current]
        owners = self._owners[self._current]
        codes[owners] = np.where(of_rows < 0, -1 - owners, of_rows)
        return codes


_STRINGS = 1 << 20  # strings of a list, at most


def _add(counts: dict[AttributeValue, int], added: Iterable[tuple[AttributeValue, int]]) -> None:
    for value, count in added:
        counts[value] = counts.get(value, 0) + count


def _within(selected: Filter, schema: AttributeSchema) -> Filter:
    """Return the filter that selects the same items of a table without the other attributes."""
    if isinstance(selected, Condition):
        if selected.name in schema:
            return selected
        negative = selected.operator in ("$ne", "$nin")
        absent = selected.operator == "$exists" and not selected.value
        return AllOf(()) if negative or absent else AnyOf(())
    if isinstance(selected, Not):
        return Not(_within(selected.part, schema))
    parts = tuple(_within(part, schema) for part in selected.parts)
    return AllOf(parts) if isinstance(selected, AllOf) else AnyOf(parts)
