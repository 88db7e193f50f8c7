"""The form that cn_clip's own training writes and all its tools read."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tusou.core.errors import BadModel
from tusou.core.files import sync
from tusou.encoders import Weights
from tusou.encoders.architecture import read_image_shape, read_text_shape
from tusou.encoders.families import find_family


def write_checkpoint(weights: Weights, tensors: Mapping[str, Tensor], out: Path) -> None:
    """Write a checkpoint; numbers keep their precision.

    Raises BadModel for a folder with settings that a checkpoint does not have.
    """
    family = find_family(weights)
    text, image = (family.read_shape(weights, tower) for tower in ("text", "image"))
    if family.describe(weights) is not None:
        raise BadModel(f"{weights.name} crops images, which cn_clip does not: use it as it is")
    if (text, image) != (read_text_shape(tensors), read_image_shape(tensors)):
        raise BadModel(
            f"{weights.name} has attention heads of another width than cn_clip's models: use it "
            "as it is"
        )
    state = {f"module.{name}": tensors[name].contiguous() for name in tensors}
    torch.save({"epoch": 0, "step": 0, "name": weights.path.stem, "state_dict": state}, out)
    sync(out)
