"""Reads the names and shapes of a checkpoint's tensors without torch."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from tusou.core.files import DAMAGED_FILE_ERRORS
from tusou.encoders.forms.checkpoint_names import find_state, plain_names, tensors_in
from tusou.encoders.forms.layouts import SHAPES, TensorShape

__all__ = ["TensorShape", "read_shapes", "read_stored_shapes", "stored_tensors"]

T = TypeVar("T")


def read_shapes(source: Path | BinaryIO) -> dict[str, TensorShape] | None:
    """Read the shapes of the model's tensors; None for a file that torch has to read or refuse.

    No code in the file is run: only a few known names are resolved, and any other ends the reading.
    """
    shapes = read_stored_shapes(source)
    return None if shapes is None else plain_names(shapes, SHAPES)


def read_stored_shapes(source: Path | BinaryIO) -> dict[str, TensorShape] | None:
    """Read the shapes by the names in the file; None as for `read_shapes`."""
    try:
        with zipfile.ZipFile(source) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(index) as file:
                return stored_tensors(_ShapeUnpickler(file).load(), TensorShape)
    except DAMAGED_FILE_ERRORS:  # torch reports the reason
        return None


def stored_tensors(loaded: object, kind: type[T]) -> dict[str, T] | None:
    """Return a model's tensors, of type `kind`, from the object that a checkpoint holds.

    That is a training checkpoint (the model's state dict beside epoch, step and optimizer) or a
    bare state dict; None for anything else.
    """
    state = find_state(loaded)
    return None if state is None else tensors_in(state, kind)


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
