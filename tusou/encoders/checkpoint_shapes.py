"""Reads the names and shapes of a checkpoint's tensors without torch."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from tusou.core.files import DAMAGED_FILE_ERRORS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TensorShape:
    """The shape of a tensor whose numbers were not read."""

    shape: tuple[int, ...]


def read_shapes(source: Path | BinaryIO) -> dict[str, TensorShape] | None:
    """Read the shapes of the model's tensors; None for a file that torch has to read or refuse.

    No code in the file is run: only a few known names are resolved, and any other ends the reading.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(index) as file:
                return model_tensors(_ShapeUnpickler(file).load(), TensorShape)
    except DAMAGED_FILE_ERRORS:  # torch reports the reason
        return None


def model_tensors(loaded: object, kind: type[T]) -> dict[str, T] | None:
    """Return a cn_clip model's tensors, of type `kind`, from the object that a checkpoint holds.

    That is a training checkpoint (`state_dict` beside epoch, step and optimizer) or a bare state
    dict, with or without the `module.` prefix and the unused pooler; None for anything else.
    """
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping):
        return None
    return {
        name: tensor
        for key, tensor in state.items()
        if isinstance(key, str) and isinstance(tensor, kind)
        if not (name := key.removeprefix("module.")).startswith("bert.pooler")
    }


class _ShapeUnpickler(pickle.Unpickler):
    """Builds shapes in place of tensors, and refuses every class that is not known."""

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        try:
            return _KNOWN[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not known here") from None

    def persistent_load(self, _: object) -> None:
        """Leave the numbers of a storage unread."""


def _tensor(*arguments: object) -> TensorShape:
    _, _, shape, *_ = arguments  # a storage, and the offset of the numbers in it
    assert isinstance(shape, tuple)
    return TensorShape(shape)


def _parameter(tensor: TensorShape, *_: object) -> TensorShape:
    return tensor


def _storage(*_: object) -> None:
    """A storage type, which is referred to and never called."""


_STORAGES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
_KNOWN: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    **{f"torch.{name}Storage": _storage for name in _STORAGES},
}
