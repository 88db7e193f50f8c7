"""Reads the header of a safetensors file: names, types and shapes, checked against its size."""

import json
from math import prod
from typing import Any, BinaryIO

from tusou.core.errors import BadModel
from tusou.encoders.forms.layouts import TensorShape

_MAX_HEADER = 100_000_000  # bytes, the format's own limit
_LENGTH_BYTES = 8
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def read_safetensors_shapes(file: BinaryIO, size: int, name: str) -> dict[str, TensorShape]:
    """Return the shapes of the tensors of an open file of `size` bytes.

    Raises BadModel, which calls the file `name`, for a header that is cut off, is not JSON or
    contradicts itself or the size of the file.
    """
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > min(_MAX_HEADER, size - _LENGTH_BYTES):
        raise BadModel(f"{name} is not a safetensors file, or is cut off: download it again")
    try:
        header = json.loads(file.read(length))
        shapes = {
            key: TensorShape(tuple(entry["shape"]))
            for key, entry in header.items()
            if key != "__metadata__" and _is_tensor(entry)
        }
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key in shapes]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadModel(f"{name} has a damaged header: download it again") from None
    whole = _LENGTH_BYTES + length + max(ends, default=0)
    if whole > size:
        raise BadModel(
            f"{name} is cut off: {size:,} of {whole:,} bytes are there; download it again"
        )
    return shapes


def _is_tensor(entry: Any) -> bool:
    """Return True; raise ValueError for an entry that describes no tensor."""
    start, end = entry["data_offsets"]
    numbers = [*entry["shape"], start, end]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError
    if (end - start) * 8 != prod(entry["shape"]) * _BITS[entry["dtype"]]:
        raise ValueError
    return True
