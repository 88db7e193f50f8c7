"""Attributes of added and patched items: append-only rows, in blocks that filters can test."""

from collections.abc import Iterator
from threading import Lock

import numpy as np

from tusou.attributes.schema import Attributes, AttributeSchema, AttributeValue
from tusou.attributes.table import AttributeTable
from tusou.core.arrays import Ids
from tusou.live.live_rows import GrowingArray

_BLOCK = 1024  # rows of a table that is made once; the rows behind the last block make a small one


class AttributeRows:
    """Rows of attributes, each of the item of a row key; the last row of a key holds.

    A reader passes the number of rows that its snapshot has; the writer appends behind them.
    """

    def __init__(self) -> None:
        self.values: list[Attributes] = []
        self._owners = GrowingArray()
        self._rows: dict[int, int] = {}  # the last row of a key
        self._previous: list[int] = []
        self._tables: dict[int, AttributeTable] = {}  # by their first row

    def __len__(self) -> int:
        return len(self.values)

    def append(self, key: int, attributes: Attributes) -> int:
        """Add the attributes of an item; return the row that held before, or -1."""
        previous = self._rows.get(key, -1)
        self._owners.append(key)
        self._previous.append(previous)
        self.values.append(attributes)
        self._rows[key] = len(self.values) - 1
        return previous

    def row(self, key: int, count: int) -> int | None:
        """Return the last of the first `count` rows of a key."""
        row = self._rows.get(key, -1)
        while row >= count:
            row = self._previous[row]
        return row if row >= 0 else None

    def owners(self, count: int) -> Ids:
        """Return the row keys of the first `count` rows."""
        return self._owners.view(count)

    def blocks(self, schema: AttributeSchema, count: int) -> Iterator[tuple[slice, AttributeTable]]:
        """Yield the first `count` rows as tables with all attributes of the schema, or more."""
        for start in range(0, count, _BLOCK):
            part = slice(start, min(start + _BLOCK, count))
            yield part, self._table(schema, part)

    def _table(self, schema: AttributeSchema, part: slice) -> AttributeTable:
        cached = self._tables.get(part.start)
        # Names are only added, so their number tells whether a table has all of them.
        if cached and len(cached) == part.stop - part.start and len(cached.schema) >= len(schema):
            return cached
        table = AttributeTable.from_rows(schema, self.values[part])
        if cached is None or len(table) >= len(cached):  # not for a reader of an old snapshot
            self._tables[part.start] = table
        return table


class ValueCodes:
    """Codes of the values of one attribute: those of a version's table, continued for other rows.

    Safe for threads.
    """

    def __init__(self, table: AttributeTable, name: str) -> None:
        self._name, self._lock = name, Lock()
        self._known, self._of_rows = dict[object, int](), GrowingArray()
        self.of_version: Ids | None = None
        self._next = 0
        if name in table.schema and len(table):
            self.of_version = table.codes(name)
            codes, keys = np.unique(self.of_version, return_index=True)
            for code, row in zip(codes.tolist(), table.rows(keys.tolist(), [name]), strict=True):
                if name in row:
                    self._known[_hashable(row[name])] = code
            self._next = int(codes[-1]) + 1

    def of_rows(self, rows: AttributeRows, count: int) -> Ids:
        """Return the codes of the first `count` rows, -1 for those without a value."""
        with self._lock:
            for row in range(len(self._of_rows), count):
                self._of_rows.append(self._code(rows.values[row].get(self._name)))
            return self._of_rows.view(count)

    def _code(self, value: AttributeValue | None) -> int:
        if value is None:
            return -1
        code = self._known.setdefault(_hashable(value), self._next)
        self._next += code == self._next
        return code


def _hashable(value: AttributeValue) -> object:
    return tuple(value) if isinstance(value, list) else value
