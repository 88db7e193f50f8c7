"""Writes live changes into the collection of a version, beside the rows of its items.

The rows of the version's items are never deleted: searches of the version, also those of other
processes, find in them what it had when it was published. An item that live changes have added,
replaced or patched has a row of its own, whose key is a digest of its id; the version's row of the
same item is marked as not current. So the rows with `current == 1` are the items as they are now.

One more row, which is not current, has the position of the last change that is written.
"""

import sys
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from tusou.core.circuit_breaker import CircuitBreaker
from tusou.core.errors import IndexUnavailable
from tusou.indexes.item_changes import IndexedItem, ItemChange
from tusou.indexes.milvus_collection import (
    CURRENT,
    FIRST_LIVE_KEY,
    ITEM_ID,
    KEY,
    VECTOR,
    Collection,
    Row,
)
from tusou.indexes.milvus_columns import MilvusColumn
from tusou.indexes.milvus_server import SERVER, MilvusServer
from tusou.indexes.specs import MilvusSpec

_POSITION_KEY = FIRST_LIVE_KEY
_UNKNOWN = -1  # the position of a collection that is being reset
_SECONDS = 10.0  # the time limit of a write
_RESET_ROWS = 1_000  # read at once


class MilvusChanges:
    """The rows of live changes in a collection."""

    def __init__(
        self, spec: MilvusSpec, columns: Mapping[str, MilvusColumn], count: int, dim: int
    ) -> None:
        # Writes that fail alone, such as on a full disk of the server, must not refuse searches.
        breaker = CircuitBreaker(SERVER, IndexUnavailable, max_failures=sys.maxsize)
        server = MilvusServer(spec.uri, _SECONDS, breaker)
        self._collection = Collection(server, spec.collection)
        self._columns, self._count, self._dim = list(columns.values()), count, dim

    def begin(self, base: int, last: int) -> int:
        position = self._position()
        if position is None:
            self.set_position(base)
            return base
        if base <= position <= last:
            return position
        self._reset()
        self.set_position(base)
        return base

    def write(self, changes: Sequence[ItemChange]) -> None:
        rows: list[Row] = []
        deleted: list[int] = []
        for change in changes:
            if change.before is not None:
                key, row = change.before
                rows.append(self._row(key, change.item_id, row, current=False))
            if change.now is None:
                deleted.append(live_key(change.item_id))
            else:
                rows.append(self._row(live_key(change.item_id), change.item_id, change.now))
        if rows:
            self._collection.upsert(rows)
        if deleted:
            self._collection.delete(f"{KEY} in {deleted}")

    def set_position(self, position: int) -> None:
        nothing = IndexedItem(np.zeros(self._dim, np.float32), {})
        self._collection.upsert([self._row(_POSITION_KEY, str(position), nothing, current=False)])

    def _position(self) -> int | None:
        rows = self._collection.query(f"{KEY} == {_POSITION_KEY}", [ITEM_ID], 1)
        return int(rows[0][ITEM_ID]) if rows else None

    def _reset(self) -> None:
        """Remove all live changes."""
        self.set_position(_UNKNOWN)  # until the end: a reset that is interrupted is begun again
        self._collection.delete(f"{KEY} > {_POSITION_KEY}")
        fields = [KEY, ITEM_ID, VECTOR, *(column.field for column in self._columns)]
        replaced = f"{KEY} < {self._count} and {CURRENT} == 0"
        while rows := self._collection.query(replaced, fields, _RESET_ROWS):
            self._collection.upsert([{**row, CURRENT: 1} for row in rows])

    def _row(self, key: int, item_id: str, row: IndexedItem, *, current: bool = True) -> Row:
        values = {
            column.field: column.nearest(row.attributes.get(column.attribute))
            for column in self._columns
        }
        return {
            KEY: key,
            ITEM_ID: item_id,
            VECTOR: row.vector,
            CURRENT: int(current),
            **values,
        }


def live_key(item_id: str) -> int:
    """Return the key of the row of an item that live changes have added or changed."""
    digest = int.from_bytes(blake2b(item_id.encode(), digest_size=8).digest())
    return _POSITION_KEY + 1 + digest % (2**63 - 1 - _POSITION_KEY)
