"""Reads the tensors of cn_clip checkpoints, published or fine-tuned, without running their code."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tusou.core.errors import BadModel
from tusou.core.file_kinds import CHECKPOINT, describe_foreign_file
from tusou.encoders.architecture import PREFIXES, Tower
from tusou.encoders.base import Weights
from tusou.encoders.checkpoint_shapes import stored_tensors
from tusou.encoders.families import find_family
from tusou.encoders.families.openai_clip import OpenAiClip
from tusou.encoders.forms.checkpoint_names import plain_names
from tusou.encoders.forms.layouts import Layouts
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.script_archive import StoredArray


def _join(parts: Sequence[Tensor]) -> Tensor:
    if any(part.shape != parts[0].shape or not part.ndim for part in parts):
        raise BadModel("the queries, keys and values of a layer have different shapes")
    return torch.cat(list(parts))


TENSORS: Layouts[Tensor] = Layouts(
    transpose=lambda tensor: tensor.T if tensor.ndim == 2 else tensor,
    join=_join,
    split=lambda tensor: tensor.tensor_split(3) if tensor.ndim else (tensor,) * 3,
)


def read_tensors(path: Path, name: str | None = None) -> dict[str, Tensor]:
    """Map cn_clip's tensor names to the model's tensors; BadModel if the file holds no model.

    `name` is the file's name in messages, if the path is another one.
    """
    return plain_names(read_stored_tensors(path, name or path.name), TENSORS)


def read_stored_tensors(path: Path, name: str) -> dict[str, Tensor]:
    """Map the names in the file to the model's tensors; otherwise as `read_tensors`."""
    tensors = stored_tensors(load_checkpoint(path, name), Tensor)
    if tensors is None:
        raise BadModel(f"{name} is not a cn_clip checkpoint: it holds no state dict")
    return tensors


def load_checkpoint(path: Path, name: str) -> Any:
    """Return what a file of `torch.save` holds; BadModel, which calls it `name`, for any other."""
    try:
        # Mapped, so that an optimizer or the other tower in the file takes no memory. Files
        # written before torch 1.6 are not zip archives and cannot be mapped.
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, weights_only=True, map_location="cpu", mmap=mapped)
    except OSError as error:
        raise BadModel(f"cannot read {name}: {error.strerror or error}") from error
    except Exception as error:  # torch's unpickler raises any exception on foreign bytes
        kind = describe_foreign_file(path)
        raise BadModel(
            f"{name} {kind}"
            if kind and kind != CHECKPOINT
            else f"{name} is not a PyTorch checkpoint of plain tensors: export it again with "
            'torch.save({"state_dict": model.state_dict()}, path)'
        ) from error


def as_tensors(arrays: Mapping[str, StoredArray]) -> dict[str, Tensor]:
    """Read arrays that were left in their file."""
    return {name: torch.from_numpy(array.read()) for name, array in arrays.items()}


def read_weights(weights: Weights) -> Mapping[str, Tensor]:
    """Read the tensors of the weights' open file, even if another file has taken its name.

    Tensors of a folder are read when they are asked for.

    Raises BadModel if the file holds no model, or was written to since its digest was computed.
    """
    file = weights.file
    if isinstance(file, ModelFolder) or weights.open_clip is not None:
        return find_family(weights).read_tensors(weights)
    if file is None:
        return read_tensors(weights.path)
    family = find_family(weights)
    if isinstance(family, OpenAiClip):
        return family.read_tensors(weights)
    file.check_unchanged()
    return read_tensors(file.readable_path, weights.path.name)


class TensorReader:
    """Reads the tensors of one tower, checks their shapes, and notices tensors that are left.

    Tensors are copied: a mapped file that is overwritten would change or crash the process.
    """

    def __init__(self, tensors: Mapping[str, Tensor], tower: Tower, device: torch.device) -> None:
        self._tensors = tensors
        self._unread = {name for name in tensors if name.startswith(PREFIXES[tower])}
        self._device = device

    def take(self, name: str, *shape: int) -> Tensor:
        """Copy a tensor to the device as stored; BadModel if it is missing or of another shape."""
        tensor = self._tensors[name] if name in self._unread else None
        self._unread.discard(name)
        if tensor is None or tuple(tensor.shape) != shape:
            actual = "missing" if tensor is None else f"{tuple(tensor.shape)}"
            raise BadModel(f"incomplete cn_clip checkpoint: {name!r} is {actual}, not {shape}")
        return tensor.to(self._device, copy=True)

    def floats(self, name: str, *shape: int) -> Tensor:
        """Copy a tensor to the device in float32."""
        return self.take(name, *shape).float()

    def linear(self, name: str, out: int, width: int) -> tuple[Tensor, Tensor]:
        """Copy the weight (out, width) and bias (out,) of a linear layer, in float32."""
        return self.floats(f"{name}.weight", out, width), self.floats(f"{name}.bias", out)

    def norm(self, name: str, width: int) -> tuple[Tensor, Tensor]:
        """Copy the weight and bias, each (width,), of a layer norm, in float32."""
        return self.floats(f"{name}.weight", width), self.floats(f"{name}.bias", width)

    def finish(self) -> None:
        """Raise BadModel if a tensor was not read: the model has another architecture."""
        if self._unread:
            raise BadModel(
                f"not a cn_clip checkpoint: it has an unexpected tensor {min(self._unread)!r}"
            )
