"""Checks of changes against a snapshot and the changes before them, ahead of the log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias
from zlib import crc32

import numpy as np

from tusou.attributes.schema import Attributes, AttributeSchema, AttributeType
from tusou.bundle.bundle import Bundle
from tusou.bundle.item_etag import etag_of
from tusou.core.errors import (
    ErrorDetail,
    InputError,
    InvalidRequest,
    PreconditionFailed,
    UnknownItem,
)
from tusou.core.ids import is_canonical_integer
from tusou.live.attribute_check import check_attributes
from tusou.live.live_items import patched
from tusou.live.operations import Batch, Delete, Operation, Patch, Upsert
from tusou.live.snapshot import LiveSnapshot

MAX_ID_BYTES = 256
# Raises InvalidRequest for attributes that an index on a server cannot hold; given the schema too.
CheckAttributes: TypeAlias = Callable[[Attributes, AttributeSchema], None]
Status: TypeAlias = Literal["created", "replaced", "patched", "deleted", "absent"]


@dataclass(frozen=True, slots=True)
class ChangeOutcome:
    """The outcome of one operation. A deletion of an item that was not there is `absent`."""

    item_id: str
    status: Status
    etag: str | None = None  # of the item after the operation


@dataclass(frozen=True, slots=True)
class _StagedItem:
    etag_with: Callable[[Attributes], str]  # the ETag of its content and vector with attributes
    attributes: Attributes

    @property
    def etag(self) -> str:
        return self.etag_with(self.attributes)


class Staging:
    """The state that batches would leave, so that each is checked against those before it."""

    def __init__(self, snapshot: LiveSnapshot, check: CheckAttributes | None = None) -> None:
        self._snapshot, self._check_storage = snapshot, check
        self._items: dict[str, _StagedItem | None] = {}  # None: deleted
        self._schema: dict[str, AttributeType] = dict(snapshot.schema)

    def stage(self, batch: Batch) -> tuple[list[Operation], list[ChangeOutcome]]:
        """Return the operations to store and their outcomes.

        Raises InvalidRequest, UnknownItem for a patch of an item that is not there, and
        PreconditionFailed; then the whole batch is left out.
        """
        items, schema = dict(self._items), dict(self._schema)
        try:
            pairs = [self._operation(operation) for operation in batch]
        except InputError:
            self._items, self._schema = items, schema
            raise
        stored = [operation for operation, outcome in pairs if outcome.status != "absent"]
        return stored, [outcome for _, outcome in pairs]

    def _operation(self, operation: Operation) -> tuple[Operation, ChangeOutcome]:
        item_id = operation.item_id
        before = self._item(item_id)
        required = operation.if_match
        if required is not None and (before is None or not {"*", before.etag} & required):
            raise PreconditionFailed("the item has changed, or is not there")
        if isinstance(operation, Delete):
            self._items[item_id] = None
            return operation, ChangeOutcome(item_id, "absent" if before is None else "deleted")
        if isinstance(operation, Patch):
            if before is None:
                raise UnknownItem("the index holds no item of this id")
            attributes = patched(before.attributes, operation.attributes, self._check)
            after = replace(before, attributes=attributes)
            self._items[item_id] = after
            return self._checked_patch(operation), ChangeOutcome(item_id, "patched", after.etag)
        check_upsert(operation, self._snapshot.bundle)
        attributes = self._check(operation.attributes)
        content, vector = operation.content, operation.vector
        after = _StagedItem(partial(etag_of, len(content), crc32(content), vector), attributes)
        self._items[item_id] = after
        status: Status = "created" if before is None else "replaced"
        return replace(operation, attributes=attributes), ChangeOutcome(item_id, status, after.etag)

    def _checked_patch(self, operation: Patch) -> Patch:
        removed = {name: None for name, value in operation.attributes.items() if value is None}
        given = {n: value for n, value in operation.attributes.items() if value is not None}
        return replace(operation, attributes={**removed, **self._check(given)})

    def _check(self, attributes: Mapping[str, object]) -> Attributes:
        values, added = check_attributes(attributes, self._schema)
        if self._check_storage:
            self._check_storage(values, {**self._schema, **added})
        self._schema |= added
        return values

    def _item(self, item_id: str) -> _StagedItem | None:
        if item_id in self._items:
            return self._items[item_id]
        key = self._snapshot.find(item_id)
        if key is None:
            return None
        attributes = self._snapshot.attributes.row(key)
        return _StagedItem(partial(self._snapshot.etag_with, key), attributes)


def check_upsert(operation: Upsert, bundle: Bundle) -> None:
    """Raise InvalidRequest for an id, a content or a vector that a bundle cannot hold."""
    check_new_id(operation.item_id, bundle)
    if not operation.content:
        raise _invalid(("body",), "missing", "An item needs a content.")
    vector = np.asarray(operation.vector)
    of_length_1 = vector.shape == (bundle.dim,) and abs(float(np.linalg.norm(vector)) - 1) < 0.01
    if not of_length_1:
        message = f"The vector has {bundle.dim} numbers and length 1."
        raise _invalid(("body", "vector"), "vector", message)


def check_new_id(item_id: str, bundle: Bundle) -> None:
    """Raise InvalidRequest for an id that an item of a bundle cannot have."""
    if bundle.id_type == "int" and not is_canonical_integer(item_id):
        raise _invalid(("path", "item_id"), "id_type", "Ids of this index are integers from 0.")
    try:
        size = len(item_id.encode())
    except UnicodeEncodeError:
        size = 0
    controls = any(ord(char) < 32 or 127 <= ord(char) < 160 for char in item_id)
    if not 0 < size <= MAX_ID_BYTES or controls or item_id != item_id.strip():
        message = f"An id has 1 to {MAX_ID_BYTES} bytes of UTF-8, no control characters and no "
        raise _invalid(("path", "item_id"), "id", message + "blanks around it.")


def _invalid(location: tuple[str, ...], kind: str, message: str) -> InvalidRequest:
    return InvalidRequest(details=[ErrorDetail(location, kind, message)])
