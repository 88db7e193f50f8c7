"""Single numbers among the tensors of a folder, read without torch."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.model_folder import SAFETENSORS, ModelFolder
from tusou.encoders.open_file import OpenFile
from tusou.encoders.safetensors_header import read_safetensors_shapes

if TYPE_CHECKING:
    from torch import Tensor

_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_stored_tensors")  # imports torch

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_LENGTH_BYTES = 8  # before the header


def read_scalar(folder: ModelFolder, name: str) -> float:
    """Return the only number of a tensor; BadModel if there is none, or if it has more."""
    for file in folder.open_tensor_files():
        file.check_unchanged()
        read = read_number if file.path.suffix == SAFETENSORS else _read_stored_number
        value = read(file, name)
        if value is not None:
            return value
    raise BadModel(f"{folder.path} has no number {name!r}: it is damaged or incomplete")


def _read_stored_number(file: OpenFile, name: str) -> float | None:
    """Return a number in a file of torch; None if it is not there."""
    read = cast("Callable[[Path, str], Mapping[str, Tensor]]", _READ_TENSORS.load())
    tensor = read(file.readable_path, file.path.name).get(name)
    if tensor is None:
        return None
    if tensor.numel() != 1:
        raise _bad_number(file, name, f"{tensor.numel():,} numbers")
    return float(tensor.item())


def read_number(file: OpenFile, name: str) -> float | None:
    """Return a number in a safetensors file; None if it is not there.

    Raises BadModel for a damaged file, and a tensor of several numbers or of another type.
    """
    with file.open() as opened:
        if name not in read_safetensors_shapes(opened, file.size, file.path.name):
            return None
        opened.seek(0)
        length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        entry = json.loads(opened.read(length))[name]
        start, end = entry["data_offsets"]
        opened.seek(_LENGTH_BYTES + length + start)
        data = opened.read(end - start)
    if not set(entry["shape"]) <= {1}:
        raise _bad_number(file, name, f"the shape {entry['shape']}")
    if entry["dtype"] == "BF16":  # numpy has no such type: the upper half of a single
        return float(np.frombuffer(b"\0\0" + data, "<f4").item())
    if entry["dtype"] not in _DTYPES:
        raise _bad_number(file, name, f"the type {entry['dtype']}")
    return float(np.frombuffer(data, _DTYPES[entry["dtype"]]).item())


def _bad_number(file: OpenFile, name: str, kind: str) -> BadModel:
    return BadModel(f"{name!r} in {file.path} has {kind}, where one floating-point number is due")
