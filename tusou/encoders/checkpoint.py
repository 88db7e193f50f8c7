"""Reads cn_clip checkpoint files: any published or fine-tuned `.pt`, never running its code."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tusou.core.errors import BadModel
from tusou.encoders.checkpoint_shapes import model_tensors


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Map the model's tensors from the file by their cn_clip names; BadModel if there are none."""
    tensors = model_tensors(_load(path), Tensor)
    if tensors is None:
        raise BadModel(f"{path.name} is not a cn_clip checkpoint: it holds no state dict")
    return tensors


def _load(path: Path) -> object:
    try:
        # Mapped, so that an optimizer or the other tower in the file costs no memory; files
        # written before torch 1.6 are no zip archives and cannot be mapped.
        loaded: object = torch.load(
            path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path)
        )
    except OSError as error:
        raise BadModel(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # torch's unpickler raises anything on foreign bytes
        raise BadModel(
            f"{path.name} is not a PyTorch checkpoint of plain tensors: export it again with "
            'torch.save({"state_dict": model.state_dict()}, path)'
        ) from error
    return loaded


class TensorReader:
    """Hands out the tensors of one tower by name, each checked and none forgotten.

    They are copied: a mapped file that somebody overwrites would change or kill the process.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], prefixes: tuple[str, ...], device: torch.device
    ) -> None:
        self._left = {k: tensor for k, tensor in tensors.items() if k.startswith(prefixes)}
        self._device = device

    def take(self, name: str, *shape: int) -> Tensor:
        """Copy a tensor to the device in the precision it was stored in; BadModel if it is off."""
        tensor = self._left.pop(name, None)
        if tensor is None or tuple(tensor.shape) != shape:
            found = "missing" if tensor is None else f"{tuple(tensor.shape)}"
            raise BadModel(f"not a whole cn_clip checkpoint: {name!r} is {found}, not {shape}")
        return tensor.to(self._device, copy=True)

    def finish(self) -> None:
        """Raise BadModel if a tensor was not asked for: then the model is another than we think."""
        if self._left:
            raise BadModel(f"not a cn_clip checkpoint: it has a tensor {min(self._left)!r}")
