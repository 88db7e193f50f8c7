"""Trained weights as a folder that open_clip reads."""

import json
import shutil
from pathlib import Path

from torch import nn

from tusou.encoders.base import Weights
from tusou.encoders.families.open_clip_config import read_config
from tusou.encoders.families.preprocessing import TOKENIZER_FILES
from tusou.encoders.model_folder import OPEN_CLIP_CONFIG
from tusou_lab.license_files import copy_licenses
from tusou_lab.train.models.folder import copy_settings, save_tensors


def write_open_clip(weights: Weights, network: nn.Module, out: Path) -> None:
    """Write what open_clip opens as `local-dir:` into an empty folder, in float32.

    A checkpoint that was opened by the name of its architecture becomes such a folder.
    """
    if weights.path.is_dir():
        copy_settings(weights.path, out)
    else:
        _write_settings(weights, out)
    save_tensors(network.state_dict(), out / "open_clip_model.safetensors")


def _write_settings(weights: Weights, out: Path) -> None:
    """Write the architecture that a name stands for, and what a checkpoint has beside it."""
    config = read_config(weights)
    settings = {"model_cfg": dict(config.model), "preprocess_cfg": dict(config.preprocessing)}
    (out / OPEN_CLIP_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    copy_licenses(config.folder, out)
    names = (*TOKENIZER_FILES, "config.json") if config.has_library_tokenizer else ()
    for name in names:
        if (config.folder / name).is_file():
            shutil.copyfile(config.folder / name, out / name)
