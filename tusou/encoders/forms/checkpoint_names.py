"""Names of the tensors in cn_clip's checkpoints: wrappers taken off, flash attention's undone."""

import re
from collections.abc import Mapping
from typing import TypeVar

from tusou.core.errors import BadModel
from tusou.encoders.forms.layouts import Layouts

T = TypeVar("T")

# Keys of the state dict in a checkpoint: cn_clip, Lightning and ModelScope, DINO and timm,
# PyTorch's tutorials, DeepSpeed.
_STATES = ("state_dict", "model", "model_state_dict", "module")
# Prefixes: DistributedDataParallel, torch.compile, Lightning and others, ModelScope's fine-tuning.
_WRAPPER = re.compile(r"^(?:module\.|_orig_mod\.|model\.|clip_model\.)+")
_POOLER = "bert.pooler."  # not needed for vectors

_IMAGE_QKV = re.compile(r"(visual\.transformer\.resblocks\.\d+\.attn)\.Wqkv\.(weight|bias)")
_TEXT_QKV = re.compile(r"(bert\.encoder\.layer\.\d+\.attention)\.self\.Wqkv\.(weight|bias)")
_TEXT_OUT = re.compile(r"(bert\.encoder\.layer\.\d+\.attention)\.self\.out_proj\.(weight|bias)")


def find_state(loaded: object) -> Mapping[object, object] | None:
    """Return the state dict in the object that a checkpoint holds, however deep; None if none."""
    while isinstance(loaded, Mapping):
        inner = next((loaded[key] for key in _STATES if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            return None if any(key in loaded for key in _STATES) else loaded
        loaded = inner
    return None


def tensors_in(state: Mapping[object, object], kind: type[T]) -> dict[str, T]:
    """Return the tensors, of type `kind`, of a state dict by their names in it."""
    return {
        key: tensor
        for key, tensor in state.items()
        if isinstance(key, str) and isinstance(tensor, kind)
    }


def plain_names(tensors: Mapping[str, T], layouts: Layouts[T]) -> dict[str, T]:
    """Return tensors by cn_clip's names; BadModel if two have the same one."""
    named: dict[str, T] = {}
    for key, tensor in tensors.items():
        name = _WRAPPER.sub("", key, count=1)
        if name.startswith(_POOLER):
            continue
        for each, part in _without_flash(name, tensor, layouts):
            if each in named:
                raise BadModel(f"not one model: the checkpoint has the tensor {each!r} twice")
            named[each] = part
    return named


def _without_flash(name: str, tensor: T, layouts: Layouts[T]) -> list[tuple[str, T]]:
    """Undo the names of cn_clip's `--use-flash-attention`."""
    if match := _IMAGE_QKV.fullmatch(name):
        return [(f"{match[1]}.in_proj_{match[2]}", tensor)]
    if match := _TEXT_QKV.fullmatch(name):
        parts = zip(("query", "key", "value"), layouts.split(tensor), strict=True)
        return [(f"{match[1]}.self.{part}.{match[2]}", rows) for part, rows in parts]
    if match := _TEXT_OUT.fullmatch(name):
        return [(f"{match[1]}.output.dense.{match[2]}", tensor)]
    return [(name, tensor)]
