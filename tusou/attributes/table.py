"""The attributes of all items of an index, by row key: filters, counts and values."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, reduce
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from tusou.attributes.arrow_file import read_columns, write_columns
from tusou.attributes.column_builder import ColumnBuilder
from tusou.attributes.columns import Column, Mask, NumberColumn, ValueCount
from tusou.attributes.filters import AnyOf, Condition, Filter, Not, check_filter
from tusou.attributes.schema import FEW_VALUES, Attributes, AttributeSchema

FACET_VALUES = 20
_CACHED_MASKS = 16  # each has a byte per item
_CHUNK_ROWS = 65_536


class AttributeTable:
    """A column for each attribute. Nothing in it changes, so threads may share it.

    `mask` and `facet` follow the semantics of `Condition`; numbers are compared exactly, integers
    beyond 2**53 too.
    """

    def __init__(self, schema: AttributeSchema, columns: Mapping[str, Column], count: int) -> None:
        self.schema = schema
        self._columns, self._count = columns, count
        self._cached_mask = lru_cache(_CACHED_MASKS)(self.compute_mask)

    @classmethod
    def from_rows(cls, schema: AttributeSchema, rows: Iterable[Attributes]) -> Self:
        """Make the table of rows in row key order, whose values have the types of the schema.

        Equal strings of one list are stored once.
        """
        builders = {name: ColumnBuilder(kind) for name, kind in schema.items()}
        remaining, count = iter(rows), 0
        while chunk := list(islice(remaining, _CHUNK_ROWS)):
            count += len(chunk)
            for name, builder in builders.items():
                builder.add([row.get(name) for row in chunk])
        columns = {name: builder.build() for name, builder in builders.items()}
        return cls(schema, columns, count)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of `write` into memory; ValueError or OSError for any other."""
        schema, columns = read_columns(path)
        return cls(schema, columns, len(next(iter(columns.values()))))

    def write(self, path: Path) -> None:
        """Write the table as Arrow IPC, durably; equal tables give equal bytes.

        There must be an attribute: a file without columns has no rows.
        """
        write_columns(path, self._columns)

    def take(self, keys: npt.NDArray[np.int64]) -> "AttributeTable":
        """Return the table of the items of these row keys, in their order; -1 has no attributes."""
        columns = {name: column.take(keys) for name, column in self._columns.items()}
        return AttributeTable(self.schema, columns, len(keys))

    def __len__(self) -> int:
        return self._count

    def row(self, key: int) -> Attributes:
        """Return the attributes of an item."""
        return self.rows([key])[0]

    def rows(self, keys: Iterable[int], names: Sequence[str] | None = None) -> list[Attributes]:
        """Return the attributes of items, all of them or those of `names`, in this order."""
        chosen = [(name, self._columns[name]) for name in (self.schema if names is None else names)]
        return [
            {name: value for name, column in chosen if (value := column.value(key)) is not None}
            for key in keys
        ]

    def mask(self, selected: Filter) -> Mask:
        """Return which items pass a filter, (n,), read-only; InvalidRequest as `check_filter`."""
        check_filter(selected, self.schema)
        return self._cached_mask(selected)

    def facet(
        self, name: str, mask: Mask | None = None, limit: int = FACET_VALUES
    ) -> list[ValueCount]:
        """Return the values of an attribute that most items of the mask have, and their numbers.

        Most first, then in ascending order. Each string of a list counts.
        """
        return self._columns[name].counts(mask, limit)

    @cached_property
    def facet_names(self) -> tuple[str, ...]:
        """The attributes of strings and truth values that have 2 to FEW_VALUES values."""
        types = ("string", "strings", "boolean")
        names = (name for name, kind in self.schema.items() if kind in types)
        return tuple(
            name for name in names if 2 <= len(self.facet(name, limit=FEW_VALUES + 1)) <= FEW_VALUES
        )

    def codes(self, name: str) -> npt.NDArray[np.int64]:
        """Return equal codes for equal values, (n,); an item without one has a code of its own."""
        codes = self._columns[name].codes()
        missing = np.flatnonzero(codes < 0)
        codes[missing] = np.max(codes, initial=-1) + 1 + np.arange(len(missing))
        return codes

    def compute_mask(self, selected: Filter) -> Mask:
        """Return what `mask` does for a filter of this schema, without its cache."""
        mask = self._evaluate(selected)
        mask.setflags(write=False)
        return mask

    def _evaluate(self, selected: Filter) -> Mask:
        if isinstance(selected, Condition):
            return self._test(selected)
        if isinstance(selected, Not):
            return ~self._evaluate(selected.part)
        masks = map(self._evaluate, selected.parts)
        if isinstance(selected, AnyOf):
            return reduce(np.logical_or, masks, np.zeros(len(self), np.bool_))
        return reduce(np.logical_and, masks, np.ones(len(self), np.bool_))

    def _test(self, condition: Condition) -> Mask:
        column, value = self._columns[condition.name], condition.value
        match condition.operator:
            case "$exists":
                return column.present() if value else ~column.present()
            case "$eq" | "$in":
                return column.equal_any(value if isinstance(value, tuple) else (value,))
            case "$ne" | "$nin":
                return ~column.equal_any(value if isinstance(value, tuple) else (value,))
            case _:
                assert isinstance(column, NumberColumn)
                assert not isinstance(value, tuple)
                return column.compare(condition.operator, value)
