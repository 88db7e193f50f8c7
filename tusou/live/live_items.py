"""The live changes over one version of a bundle: applied in order, published as snapshots."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from tusou.attributes.schema import Attributes, AttributeType
from tusou.attributes.table import AttributeTable
from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Vectors
from tusou.core.errors import IncompatibleBundle, InvalidRequest
from tusou.core.ids import is_canonical_integer
from tusou.live.attribute_check import check_attributes
from tusou.live.attribute_rows import AttributeRows, ValueCodes
from tusou.live.attribute_view import AttributeView, Mask
from tusou.live.live_rows import LiveRows
from tusou.live.operations import (
    ContentSpan,
    Delete,
    LoggedBatch,
    LoggedUpsert,
    Patch,
)
from tusou.live.snapshot import LiveSnapshot

# Encodes stored contents (image files, or texts in UTF-8) into vectors, (n, d).
Encode: TypeAlias = Callable[[Sequence[bytes]], Vectors]

_ENCODED = 64  # contents in one call
_LEAST_DEAD_ROWS = 1024  # rows of removed items before the others are copied


class LiveItems:
    """The changes that the records of a log make to a version. One thread applies them.

    `snapshot` is replaced by one assignment, so any thread may read it at any time.
    """

    def __init__(
        self, bundle: Bundle, read: Callable[[ContentSpan], bytes], encode: Encode | None = None
    ) -> None:
        """Begin with the version as it is; `read` returns contents from the log.

        `encode` is called for items whose vectors are of another model than the bundle's.
        """
        self.bundle, self.position = bundle, bundle.manifest.live_position
        self.skipped = 0  # changes that do not fit the version: see `replay`
        # Positions and ids of applied changes, for a collection that takes them from the left.
        self.changed: deque[tuple[int, str]] | None = (
            None if bundle.manifest.index.collection is None else deque()
        )
        self.on_published: Callable[[], None] | None = None
        self._read, self._encode = read, encode
        self._table = bundle.attributes or AttributeTable({}, {}, bundle.item_count)
        self._schema: dict[str, AttributeType] = dict(self._table.schema)
        self._removed = np.zeros(bundle.item_count, np.bool_)
        self._clear()
        self.publish()

    def _clear(self) -> None:
        self._rows, self._alive = LiveRows(self.bundle.dim), bytearray()
        self._attributes, self._current = AttributeRows(), bytearray()
        self._codes: dict[str, ValueCodes] = {}
        self._unencoded: list[int] = []  # slots whose vectors are still missing

    def replay(self, changes: Iterable[tuple[int, LoggedBatch]]) -> None:
        """Apply the records of a log and publish the result.

        Changes that do not fit the version, which may be one of another source, are left out and
        counted: patches of items that it lacks, ids and attributes of other types.
        """
        for position, batch in changes:
            self.apply(position, batch)
        self.publish()

    def apply(self, position: int, batch: LoggedBatch) -> None:
        """Apply one record; it is seen after `publish`."""
        for operation in batch:
            if isinstance(operation, LoggedUpsert):
                self._upsert(operation)
            elif isinstance(operation, Patch):
                self._patch(operation)
            else:
                self._delete(operation)
        if self.changed is not None:
            self.changed.extend((position, operation.item_id) for operation in batch)
        self.position = position

    def publish(self) -> None:
        """Make the applied changes visible; IncompatibleBundle if items cannot be encoded."""
        self._encode_missing()
        dead_rows = self._alive.count(0) + self._current.count(0)
        self.snapshot = self._snapshot()
        if dead_rows > max(_LEAST_DEAD_ROWS, len(self._current) // 2):
            self._drop_dead_rows()
            self.snapshot = self._snapshot()
        if self.on_published:
            self.on_published()

    def _snapshot(self) -> LiveSnapshot:
        view = AttributeView(
            self._table, self._attributes, _mask(self._current), dict(self._schema), self._codes
        )
        removed = self._removed
        self._shared = True  # the snapshot has it: copy it before the next change
        return LiveSnapshot(
            self.bundle, self.position, removed, _mask(self._alive), self._rows, view, self._read
        )

    def _upsert(self, operation: LoggedUpsert) -> None:
        item_id = operation.item_id
        if self.bundle.id_type == "int" and not is_canonical_integer(item_id):
            self.skipped += 1
            return
        self._remove(item_id)
        fits = operation.model == self.bundle.manifest.model.sha256
        vector = operation.vector if fits else None
        slot = self._rows.append(item_id, operation.span, vector)
        self._alive.append(True)
        if not fits:
            self._unencoded.append(slot)
        self._set_attributes(len(self._removed) + slot, self._fitting(operation.attributes))

    def _patch(self, operation: Patch) -> None:
        key = self._key(operation.item_id)
        if key is None:
            self.skipped += 1
            return
        row = self._attributes.row(key, len(self._attributes))
        before = self._table.row(key) if row is None else self._attributes.values[row]
        self._set_attributes(key, patched(before, operation.attributes, self._fitting))

    def _delete(self, operation: Delete) -> None:
        self._remove(operation.item_id)

    def _set_attributes(self, key: int, attributes: Attributes) -> None:
        previous = self._attributes.append(key, attributes)
        if previous >= 0:
            self._current[previous] = False
        self._current.append(True)

    def _remove(self, item_id: str) -> None:
        key = self._key(item_id)
        if key is None:
            return
        if key < len(self._removed):
            if self._shared:
                self._removed, self._shared = self._removed.copy(), False
            self._removed[key] = True
        else:
            self._alive[key - len(self._removed)] = False
        row = self._attributes.row(key, len(self._attributes))
        if row is not None:
            self._current[row] = False

    def _key(self, item_id: str) -> int | None:
        slot = self._rows.slot(item_id, len(self._rows))
        if slot is not None and self._alive[slot]:
            return len(self._removed) + slot
        key = self.bundle.ids.key(item_id)
        return None if key is None or self._removed[key] else key

    def _fitting(self, attributes: Mapping[str, object]) -> Attributes:
        """Return the attributes that have the types of the version; learn the types of others."""
        try:
            values, added = check_attributes(attributes, self._schema)
        except InvalidRequest:
            values, added = {}, {}
            for name, value in attributes.items():
                try:
                    result = check_attributes({name: value}, {**self._schema, **added})
                except InvalidRequest:
                    self.skipped += 1
                    continue
                values, added = values | result[0], added | result[1]
        self._schema |= added
        return values

    def _encode_missing(self) -> None:
        slots = [slot for slot in self._unencoded if self._alive[slot]]
        if slots and self._encode is None:
            raise IncompatibleBundle(
                f"{len(slots)} live items were encoded by another model than that of the bundle; "
                "serve the bundle, so that they are encoded again"
            )
        for start in range(0, len(slots), _ENCODED):
            assert self._encode is not None
            part = slots[start : start + _ENCODED]
            contents = [self._read(self._rows.spans[slot]) for slot in part]
            self._rows.set_vectors(part, self._encode(contents))
        self._unencoded.clear()

    def _drop_dead_rows(self) -> None:
        """Copy the rows that are in use, so that items replaced many times need no memory."""
        before = self.snapshot
        self._clear()
        n = before.version_size
        for key in before.attributes.replaced_keys.tolist():
            if key < n:
                self._set_attributes(key, before.attributes.row(key))
        for key in before.live_keys.tolist():
            slot = self._rows.append(
                str(before.id_at(key)), before.span(key), before.vectors([key])[0]
            )
            self._alive.append(True)
            self._set_attributes(n + slot, before.attributes.row(key))


def patched(
    attributes: Attributes,
    patch: Mapping[str, object],
    check: Callable[[Mapping[str, object]], Attributes],
) -> Attributes:
    """Return attributes with those of a patch, checked; None removes one."""
    values = check({name: value for name, value in patch.items() if value is not None})
    others = {name: value for name, value in attributes.items() if name not in patch}
    return {**others, **values}


def _mask(flags: bytearray) -> Mask:
    return np.frombuffer(bytes(flags), np.bool_).copy()
