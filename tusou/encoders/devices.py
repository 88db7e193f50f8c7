"""Where a tower computes, and in which precision."""

import ctypes
import re

import torch

from tusou.encoders.int8 import has_int8
from tusou.errors import InvalidRequest

_PRECISIONS = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.int8,
}
_BF16_FEATURES = ("amx_bf16", "avx512_bf16")


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


def avoid_cudnn_attention(device: torch.device) -> None:
    """Have torch's attention on a GPU use kernels that take any shape as it comes.

    On an H100 or H200 torch 2.12 would ask cuDNN first, which plans for some tenths of a second
    for every count and length of texts that it has not seen
    (https://github.com/pytorch/pytorch/pull/155958). This is a setting of the whole process.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)


def pick_precision(precision: str, device: torch.device, *, gains_from_bf16: bool) -> str:
    """Resolve `fp32`, `bf16`, `fp16`, `int8`, or `auto`: the device's fastest, int8 aside.

    That is fp16 on a GPU, as in cn_clip, and bf16 on a processor with instructions for it if the
    tower gains from them; otherwise fp32. `int8` costs ranks, and has to be asked for.
    """
    if precision == "auto":
        if device.type == "cuda":
            return "fp16"
        return "bf16" if gains_from_bf16 and _has_bf16() else "fp32"
    if precision not in _PRECISIONS:
        raise InvalidRequest(f"No precision {precision!r}: use auto, {', '.join(_PRECISIONS)}.")
    if precision == "int8" and not (device.type == "cpu" and has_int8()):
        raise InvalidRequest("int8 needs a processor with VNNI or AMX, and no GPU: choose auto.")
    return precision


def dtype_of(precision: str) -> torch.dtype:
    """Give torch's name of a resolved precision."""
    return _PRECISIONS[precision]


def release_memory(device: str) -> None:
    """Give back the memory that is kept for later: by torch on a GPU, elsewhere by glibc."""
    if pick_device(device).type == "cuda":
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _has_bf16() -> bool:
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in _BF16_FEATURES)
