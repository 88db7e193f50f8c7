"""Where a tower computes."""

import re

import torch

from tusou.errors import InvalidRequest


def pick_device(device: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda` or `cuda:N`; InvalidRequest when it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", device):
        raise InvalidRequest(f"No device {device!r}: use auto, cpu, cuda or cuda:N.")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InvalidRequest(f"This machine has no CUDA device {device!r}: use auto or cpu.")
    return chosen
