"""Reads one vector from a NumPy file, without numpy."""

import ast
import math
import struct
from pathlib import Path

from tusou_client.errors import UsageError

_MAGIC = b"\x93NUMPY"
_MAX_BYTES = 2**20
_CODES = {"f2": "e", "f4": "f", "f8": "d"}  # NumPy's type -> that of `struct`


def read_vector(path: Path) -> list[float]:
    """Return the numbers of a `.npy` file that holds one vector, (d,) or (1, d).

    Raises UsageError for a file of another kind, or of several vectors.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        descr, shape, start = _read_header(data[:_MAX_BYTES])
        order, code = descr[0], _CODES[descr[1:]]
        *others, dim = shape
        if others not in ([], [1]) or order not in "<>":
            raise ValueError
        numbers = struct.unpack_from(f"{order}{dim}{code}", data, start)
        if len(data) != start + dim * struct.calcsize(code):
            raise ValueError
    except (ValueError, LookupError, TypeError, SyntaxError, struct.error, RecursionError):
        raise UsageError(
            f"{path} does not hold one vector of floats; write it with numpy.save: (d,) or (1, d)."
        ) from None
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"{path} holds numbers that are not finite.")
    return list(numbers)


def _read_header(data: bytes) -> tuple[str, tuple[int, ...], int]:
    """Return the type, the shape and the start of the numbers; ValueError and others."""
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("not a NumPy file")
    length_format = "<H" if data[6] == 1 else "<I"  # of format version 1, and of later ones
    (length,) = struct.unpack_from(length_format, data, 8)
    text_start = 8 + struct.calcsize(length_format)
    header = ast.literal_eval(data[text_start : text_start + length].decode("latin-1").strip())
    return str(header["descr"]), tuple(map(int, header["shape"])), text_start + length
