"""Reads tensors with numpy, also those of a TorchScript archive, without running its code."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.core.errors import BadModel
from tusou.core.files import DAMAGED_FILE_ERRORS
from tusou.encoders.checkpoint_shapes import stored_tensors

_INDEX, _CONSTANTS = "/data.pkl", "/constants.pkl"  # only a TorchScript archive has the second
_DTYPES = {"Float": "f4", "Half": "f2", "Double": "f8", "Long": "i8", "Int": "i4", "Bool": "?"}
# Reads a storage of the archive when it is called.
_Storage: TypeAlias = Callable[[], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StoredArray:
    """A tensor whose numbers are read when they are asked for."""

    shape: tuple[int, ...]
    _storage: _Storage
    _offset: int
    _strides: tuple[int, ...]

    def read(self) -> npt.NDArray[Any]:
        """Return a copy of the numbers; BadModel if they are not all there."""
        numbers = self._storage()[self._offset :]
        steps = zip(self.shape, self._strides, strict=True)
        last = sum((length - 1) * step for length, step in steps)
        if min((*self._strides, self._offset)) < 0 or (
            0 not in self.shape and last >= len(numbers)
        ):
            raise BadModel("a tensor of the archive reaches beyond its numbers: download it again")
        strides = [step * numbers.itemsize for step in self._strides]
        return np.lib.stride_tricks.as_strided(numbers, self.shape, strides).copy()


def is_script_archive(source: Path | BinaryIO) -> bool:
    """Return whether a file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(source) as archive:
            return any(name.endswith(_CONSTANTS) for name in archive.namelist())
    except DAMAGED_FILE_ERRORS:
        return False


def read_arrays(path: Path) -> dict[str, StoredArray]:
    """Return the tensors of all modules of an archive, or of a state dict, by its names.

    Raises BadModel if the archive is damaged, or has something else than modules and tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith(_INDEX))
            with archive.open(index) as file:
                loaded = _Unpickler(file, path, index.removesuffix(_INDEX)).load()
        if isinstance(loaded, _Module):
            return dict(_tensors_of(loaded, ""))
        return stored_tensors(loaded, StoredArray) or {}
    except DAMAGED_FILE_ERRORS as error:
        raise BadModel(
            f"{path.name} is a TorchScript archive that cannot be read without running its code: "
            "load it with torch.jit.load, and save its state_dict()"
        ) from error


class _Module:
    """A module of the archive; its attributes are the tensors and modules in it."""


def _tensors_of(module: _Module, prefix: str) -> Iterator[tuple[str, StoredArray]]:
    for name, value in vars(module).items():
        if isinstance(value, StoredArray):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors_of(value, f"{prefix}{name}.")


class _Unpickler(pickle.Unpickler):
    """Builds modules without their code, and refuses every other class that is not known."""

    def __init__(self, file: Any, path: Path, root: str) -> None:
        super().__init__(file)
        self._path, self._root = path, root

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.".startswith("__torch__."):
            return _Module
        try:
            return _KNOWN[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not known here") from None

    def persistent_load(self, identity: Any) -> _Storage:
        """Return what reads a storage: its kind, its number in the archive, device and length."""
        _, dtype, key, *_ = identity

        def read() -> npt.NDArray[Any]:
            with zipfile.ZipFile(self._path) as archive:
                return np.frombuffer(archive.read(f"{self._root}/data/{key}"), dtype)

        return read


def _array(storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> StoredArray:
    return StoredArray(tuple(shape), storage, offset, tuple(strides))


def _first(value: object, *_: object) -> object:
    return value


_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")
_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _array,
    "torch._utils._rebuild_parameter": _first,
    "torch.jit._pickle.restore_type_tag": _first,
    **{f"torch.jit._pickle.{name}": _first for name in _LISTS},
    **{f"torch.{name}Storage": np.dtype(kind) for name, kind in _DTYPES.items()},
}
