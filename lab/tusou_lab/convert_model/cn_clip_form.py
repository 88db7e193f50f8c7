"""The form that cn_clip's own training writes and all its tools read."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tusou.core.files import sync
from tusou.encoders import Weights


def write_checkpoint(weights: Weights, tensors: Mapping[str, Tensor], out: Path) -> None:
    """Write a checkpoint; numbers keep their precision."""
    state = {f"module.{name}": tensors[name].contiguous() for name in tensors}
    torch.save({"epoch": 0, "step": 0, "name": weights.path.stem, "state_dict": state}, out)
    sync(out)
