"""Changes to items, and their encoding in the records of a log."""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np

from tusou.attributes.schema import Attributes, AttributeValue
from tusou.core.arrays import Vectors

_META_LENGTH = struct.Struct("<I")
_VECTOR_TYPE = "<f4"
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Upsert:
    """Adds an item, or replaces one of the same id."""

    item_id: str
    content: bytes  # of an image file, or a text in UTF-8
    vector: Vectors  # (d,), of unit length
    model: str  # SHA-256 of the weights that encoded it
    attributes: Attributes
    # The ETags of which the item must have one; `*` for any.
    if_match: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Sets attributes of an item; None removes one."""

    item_id: str
    attributes: Mapping[str, AttributeValue | None]
    if_match: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes an item."""

    item_id: str
    if_match: frozenset[str] | None = None


Operation: TypeAlias = Upsert | Patch | Delete
Batch: TypeAlias = Sequence[Operation]  # applied as a whole, under one position


@dataclass(frozen=True, slots=True)
class ContentSpan:
    """The place of an item's content in a log."""

    offset: int
    length: int
    check: int  # CRC-32


@dataclass(frozen=True, slots=True)
class LoggedUpsert:
    """An upsert whose content is in the log."""

    item_id: str
    span: ContentSpan
    vector: Vectors  # (d,)
    model: str
    attributes: Attributes


LoggedOperation: TypeAlias = LoggedUpsert | Patch | Delete
LoggedBatch: TypeAlias = Sequence[LoggedOperation]


def encode_batches(batches: Sequence[Batch]) -> list[bytes]:
    """Return the parts of a record's payload: its description, then vectors and contents."""
    rows = [[_row(operation) for operation in batch] for batch in batches]
    meta = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    parts = [_META_LENGTH.pack(len(meta)) + meta]
    for batch in batches:
        for operation in batch:
            if isinstance(operation, Upsert):
                parts += [np.asarray(operation.vector, _VECTOR_TYPE).tobytes(), operation.content]
    return parts


def logged_batches(batches: Sequence[Batch], parts: Sequence[bytes], start: int) -> list[list[Any]]:
    """Return the batches as a reader of the record finds them; the payload begins at `start`."""
    offset, contents = start + len(parts[0]), iter(parts[1:])

    def logged(operation: Operation) -> LoggedOperation:
        nonlocal offset
        if not isinstance(operation, Upsert):
            return operation
        offset += len(next(contents))
        content = next(contents)
        span = ContentSpan(offset, len(content), crc32(content))
        offset += len(content)
        vector = np.asarray(operation.vector, np.float32)
        return LoggedUpsert(
            operation.item_id, span, vector, operation.model, dict(operation.attributes)
        )

    return [[logged(operation) for operation in batch] for batch in batches]


def decode_batches(payload: bytes, start: int) -> Iterator[list[LoggedOperation]]:
    """Yield the batches of a record's payload, which begins at `start` in the log.

    Raises ValueError, LookupError, TypeError or struct.error for anything else than a payload.
    """
    (length,) = _META_LENGTH.unpack_from(payload)
    position = _META_LENGTH.size + length
    rows = json.loads(payload[_META_LENGTH.size : position])
    for batch in rows:
        operations: list[LoggedOperation] = []
        for row in batch:
            if "dim" not in row:
                operations.append(_unencode(row))
                continue
            vector = np.frombuffer(payload, _VECTOR_TYPE, row["dim"], position)
            position += row["dim"] * _FLOAT_BYTES
            span = ContentSpan(start + position, row["size"], row["check"])
            position += row["size"]
            operations.append(
                LoggedUpsert(row["id"], span, vector.copy(), row["model"], row["attributes"])
            )
        yield operations


def _row(operation: Operation) -> dict[str, object]:
    if isinstance(operation, Delete):
        return {"id": operation.item_id}
    row: dict[str, object] = {"id": operation.item_id, "attributes": dict(operation.attributes)}
    if isinstance(operation, Upsert):
        row |= {
            "model": operation.model,
            "dim": len(operation.vector),
            "size": len(operation.content),
            "check": crc32(operation.content),
        }
    return row


def _unencode(row: Mapping[str, Any]) -> LoggedOperation:
    return Patch(row["id"], row["attributes"]) if "attributes" in row else Delete(row["id"])
