"""Models written as a folder: new weights beside the other files of the folder they came from."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

# Files of weights, in any framework's format, and the lists of their shards.
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ot", ".index.json")
_DTYPES = ("dtype", "torch_dtype")


def copy_settings(source: Path, out: Path) -> None:
    """Copy every file of a model's folder except its weights, such as tokenizer and card."""
    for path in sorted(source.iterdir()):
        if path.is_file() and not path.name.endswith(WEIGHTS) and not path.name.startswith("."):
            shutil.copyfile(path, out / path.name)


def match_precision(out: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in the precision that is written in a folder's configuration.

    A bfloat16 number is too coarse for the small steps of a fine-tuning: float32 takes its place,
    in the configuration too.
    """
    if is_half(out):
        return {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    path = out / "config.json"
    settings = json.loads(path.read_bytes())
    _name_float32(settings)
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return dict(tensors)


def is_half(folder: Path) -> bool:
    """Return whether the configuration of a folder says that its weights are float16."""
    settings = json.loads((folder / "config.json").read_bytes())
    return any(settings.get(name) == "float16" for name in _DTYPES)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as the libraries do: from the CPU, none of them a view of another."""
    contiguous = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"format": "pt"})


def _name_float32(settings: dict[str, Any]) -> None:
    """Replace the type of numbers in a configuration, in those of the towers too."""
    for name, value in settings.items():
        if name in _DTYPES and value is not None:
            settings[name] = str(torch.float32).removeprefix("torch.")
        elif isinstance(value, dict):
            _name_float32(value)
