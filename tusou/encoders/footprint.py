"""How much memory a tower takes at least, told before it is loaded."""

from pathlib import Path
from typing import Literal, TypeAlias

from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.cnclip import image_precision, text_precision
from tusou.encoders.devices import dtype_of, pick_device

Tower: TypeAlias = Literal["text", "image"]

_PREFIXES = {"text": ("bert.", "text_projection"), "image": ("visual.",)}
_PRECISIONS = {"text": text_precision, "image": image_precision}


def least_memory(path: Path, tower: Tower, device: str, precision: str) -> int:
    """Return the bytes of a tower's weights as they are computed with; 0 where a GPU holds them."""
    if pick_device(device).type != "cpu":
        return 0
    tensors = read_tensors(path).items()
    numbers = sum(one.numel() for name, one in tensors if name.startswith(_PREFIXES[tower]))
    return numbers * dtype_of(_PRECISIONS[tower](path, device, precision)).itemsize
