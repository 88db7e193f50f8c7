"""The names and shapes of a checkpoint's tensors, read without torch."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outlined:
    """A tensor whose numbers were left in the file."""

    shape: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Count its axes."""
        return len(self.shape)


def read_outline(path: Path) -> dict[str, Outlined] | None:
    """Read the shapes of the model's tensors; None for what only torch can read or refuse.

    Nothing of the file is called: a few names in it are known, and any other ends it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(index) as file:
                return model_tensors(_Reader(file).load(), Outlined)
    except Exception:  # noqa: BLE001 - foreign bytes raise anything; torch says what is wrong
        return None


def model_tensors(loaded: object, kind: type[T]) -> dict[str, T] | None:
    """Pick a cn_clip model's tensors, by their names there, out of what a checkpoint holds.

    That is a training checkpoint (`state_dict` beside epoch, step and optimizer) or a bare state
    dict, with or without the `module.` prefix and the unused pooler; None if it is neither.
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


class _Reader(pickle.Unpickler):
    """Makes outlines of tensors, and nothing of what else a class would be needed for."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """Give what stands for one of the known names."""
        try:
            return _KNOWN[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not looked into") from None

    def persistent_load(self, _: object) -> None:
        """Leave the numbers where they are."""


def _tensor(*parts: object) -> Outlined:
    _, _, shape, *_ = parts  # a storage, and where in it the numbers begin
    assert isinstance(shape, tuple)
    return Outlined(shape)


def _parameter(tensor: Outlined, *_: object) -> Outlined:
    return tensor


def _storage(*_: object) -> None:
    """A type of numbers."""


_STORAGES = ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
_KNOWN: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    **{f"torch.{name}Storage": _storage for name in _STORAGES},
}
