"""NumPy array files of a known type and shape: written durably, checked before they are read."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tusou.core.errors import CorruptBundle
from tusou.core.files import create_file

_PREFIX_BYTES = 10  # magic string, format version 1.0 and the length of the header


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as `np.save` does; an OSError names the file and the reason."""
    contiguous = np.ascontiguousarray(array)
    with create_file(path) as file:
        file.write(array_header(contiguous.dtype.str, contiguous.shape))
        file.write(contiguous.data)  # `tofile` would hide why the disk refused


def array_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return the bytes before the numbers of a file of format version 1.0."""
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def load_array(path: Path, dtype: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Read the array of a file; CorruptBundle unless it has this type and shape."""
    offset = data_offset(path, dtype, shape)
    return np.fromfile(path, dtype, offset=offset).reshape(shape)


def map_array(path: Path, dtype: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Map the array of a file; CorruptBundle unless it has this type and shape."""
    return np.memmap(path, dtype, "r", data_offset(path, dtype, shape), shape)


def data_offset(path: Path, dtype: str, shape: tuple[int, int]) -> int:
    """Return where the numbers begin in a file that has this type, shape and size.

    Raises CorruptBundle for any other file. Nothing in the file is evaluated, and no memory is
    taken for a size that the file only claims to have.
    """
    expected = array_header(dtype, shape)
    try:
        with path.open("rb") as file:
            prefix = file.read(_PREFIX_BYTES)
            header = file.read(int.from_bytes(prefix[8:], "little"))
        size = path.stat().st_size
    except OSError as error:
        raise CorruptBundle(f"{path}: {error.strerror}; index again") from None
    start = _PREFIX_BYTES + len(header)
    same = prefix[:8] == expected[:8] and header.split() == expected[_PREFIX_BYTES:].split()
    if not same or size != start + shape[0] * shape[1] * np.dtype(dtype).itemsize:
        raise CorruptBundle(
            f"{path} does not hold {shape[0]:,} x {shape[1]} numbers of type {dtype}; index again"
        )
    return start
