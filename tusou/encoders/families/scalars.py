"""Single numbers among the tensors of a folder, read without torch."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tusou.core.errors import BadModel
from tusou.core.lazy_import import LazyImport
from tusou.encoders.model_folder import SAFETENSORS, ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_stored_tensors")  # imports torch

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: the shapes and types of its tensors by name."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return header


def read_scalar(folder: ModelFolder, name: str) -> float:
    """Return the only number of a tensor; BadModel if there is none, or if it has more."""
    for path in folder.tensor_files():
        read = read_number if path.suffix == SAFETENSORS else _read_stored_number
        value = read(path, name)
        if value is not None:
            return value
    raise BadModel(f"{folder.path} has no number {name!r}: it is damaged or incomplete")


def _read_stored_number(path: Path, name: str) -> float | None:
    """Return a number in a file of torch; None if it is not there."""
    read = cast("Callable[[Path, str], Mapping[str, Tensor]]", _READ_TENSORS.load())
    tensor = read(path, path.name).get(name)
    return None if tensor is None else float(tensor.item())


def read_number(path: Path, name: str) -> float | None:
    """Return a number in a safetensors file; None if it is not there."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(size)).get(name)
        if entry is None:
            return None
        start, end = entry["data_offsets"]
        file.seek(8 + size + start)
        data = file.read(end - start)
    if entry["dtype"] == "BF16":  # numpy has no such type: the upper half of a single
        data, dtype = b"\0\0" + data, "<f4"
    else:
        dtype = _DTYPES[entry["dtype"]]
    return float(np.frombuffer(data, dtype).item())
