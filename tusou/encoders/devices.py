"""Devices and precisions; torch is imported only where there is a CUDA driver."""

import ctypes
import re

from tusou.core.errors import InvalidRequest
from tusou.core.hardware import cpu_features, is_x86
from tusou.encoders.calibrated_precision import CALIBRATED, number_format

PRECISIONS = ("fp32", "bf16", "fp16", "int8", CALIBRATED)
_BF16_FEATURES = {"amx_bf16", "avx512_bf16"}
_INT8_FEATURES = {"amx_int8", "avx512_vnni", "avx_vnni"}

_CUDA_DRIVER = "libcuda.so.1"


def pick_device(device: str) -> str:
    """Resolve `auto` to `cpu` or `cuda`; InvalidRequest for an unknown or missing device."""
    if device == "auto":
        return "cuda" if _gpus() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", device):
        raise InvalidRequest(f"No device {device!r}: use auto, cpu, cuda or cuda:N.")
    if device != "cpu" and int(device.partition(":")[2] or 0) >= _gpus():
        raise InvalidRequest(f"This machine has no CUDA device {device!r}: use auto or cpu.")
    return device


def pick_precision(precision: str, device: str, *, gains_from_bf16: bool) -> str:
    """Resolve `auto` by the device's instructions, int8 aside, which changes some ranks.

    Raises InvalidRequest for an unknown precision, and for int8 without the instructions for it.
    """
    if precision == "auto":
        if device != "cpu":
            return "fp16"
        return "bf16" if gains_from_bf16 and _BF16_FEATURES & cpu_features() else "fp32"
    if number_format(precision) not in PRECISIONS:
        raise InvalidRequest(f"No precision {precision!r}: use auto, {', '.join(PRECISIONS)}.")
    int8 = number_format(precision) in {"int8", CALIBRATED}
    if int8 and not (device == "cpu" and has_int8()):
        raise InvalidRequest(
            "int8 needs the device cpu, a processor with VNNI or AMX, and the backend openvino "
            "(tusou[cpu]): use another precision, or auto."
        )
    return precision


def has_int8() -> bool:
    """Return whether this processor has instructions for 8-bit products."""
    return is_x86() and bool(_INT8_FEATURES & cpu_features())


def release_memory(device: str) -> None:
    """Return cached free memory to the system: torch's on a GPU, glibc's on a processor."""
    if pick_device(device) != "cpu":
        import torch  # noqa: PLC0415 - not needed on a processor

        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _gpus() -> int:
    """Count CUDA devices; torch, slow to import, is left out where there is no driver."""
    try:
        ctypes.CDLL(_CUDA_DRIVER)
    except OSError:
        return 0
    import torch  # noqa: PLC0415 - see above

    return torch.cuda.device_count()
