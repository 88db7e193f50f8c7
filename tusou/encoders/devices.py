"""Where a tower computes, and in which precision."""

import re

import torch

from tusou.errors import InvalidRequest

_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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


def pick_precision(precision: str, device: torch.device) -> torch.dtype:
    """Resolve `fp32`, `bf16`, `fp16`, or `auto`: as cn_clip, fp16 on a GPU and fp32 on a CPU."""
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if precision not in _PRECISIONS:
        raise InvalidRequest(f"No precision {precision!r}: use auto, {', '.join(_PRECISIONS)}.")
    return _PRECISIONS[precision]
