"""Reads cn_clip checkpoint files: any published or fine-tuned `.pt`, never running its code."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tusou.errors import BadModel


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Map the model's tensors from the file by their cn_clip names; BadModel if there are none.

    Accepts cn_clip's training checkpoints (`state_dict` beside epoch, step and optimizer) and bare
    state dicts, with or without the `module.` prefix and the unused pooler.
    """
    loaded = _load(path)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping):
        raise BadModel(f"{path.name} is not a cn_clip checkpoint: it holds no state dict")
    return {
        name: tensor
        for key, tensor in state.items()
        if isinstance(key, str) and isinstance(tensor, Tensor)
        if not (name := key.removeprefix("module.")).startswith("bert.pooler")
    }


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


_DRAWING = (Tensor.normal_, nn.init.normal_)  # in place: callers ignore what they return


class _NothingDrawn(TorchFunctionMode):
    """Skips drawing initial weights: on the meta device that would import torch's compiler."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        return None if func in _DRAWING else func(*args, **(kwargs or {}))


@contextmanager
def unfilled() -> Iterator[None]:
    """Build modules inside without memory for their weights; `fill` brings those."""
    with torch.device("meta"), _NothingDrawn():
        yield


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    prefixes: tuple[str, ...],
    device: torch.device,
) -> None:
    """Give a module built `unfilled` the tensors so named, as float32 on `device`.

    They are copied: a mapped file that somebody overwrites would change or kill the process.
    """
    weights = {
        name: tensor.to(device, torch.float32 if tensor.is_floating_point() else None, copy=True)
        for name, tensor in tensors.items()
        if name.startswith(prefixes)
    }
    try:
        gaps = module.load_state_dict(weights, strict=False, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:500]
        raise BadModel(f"the checkpoint contradicts itself: {reason}") from error
    if wrong := [*gaps.missing_keys, *gaps.unexpected_keys]:
        raise BadModel(f"not a whole cn_clip checkpoint: {len(wrong)} tensors off, {wrong[0]!r}")
    module.eval().requires_grad_(requires_grad=False)
