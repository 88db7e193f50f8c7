"""Trained weights as a folder that open_clip reads."""

import json
import shutil
from pathlib import Path

from torch import nn

from tusou.encoders.base import Weights
from tusou.encoders.families.open_clip_config import OpenClipConfig, read_config
from tusou.encoders.model_folder import CONFIG, OPEN_CLIP_CONFIG
from tusou.encoders.tokenizer_files import tokenizer_files
from tusou_lab.license_files import copy_licenses
from tusou_lab.train.models.folder import copy_settings, save_tensors


def write_open_clip(weights: Weights, network: nn.Module, out: Path) -> None:
    """Write what open_clip opens as `local-dir:` into an empty folder, in float32.

    A checkpoint that was opened by the name of its architecture becomes such a folder.
    """
    config = read_config(weights)
    if weights.path.is_dir():
        copy_settings(weights.path, out)
    else:
        _write_settings(config, out)
    _copy_text_config(config, out)
    save_tensors(network.state_dict(), out / "open_clip_model.safetensors")


def _write_settings(config: OpenClipConfig, out: Path) -> None:
    """Write the architecture that a name stands for, and what a checkpoint has beside it."""
    settings = {"model_cfg": dict(config.model), "preprocess_cfg": dict(config.preprocessing)}
    (out / OPEN_CLIP_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    copy_licenses(config.folder, out)
    if config.has_library_tokenizer:
        beside = config.folder / CONFIG  # the tokenizer's class, where its own files do not name it
        for path in [*tokenizer_files(config.folder), *([beside] if beside.is_file() else [])]:
            shutil.copyfile(path, out / path.name)


def _copy_text_config(config: OpenClipConfig, out: Path) -> None:
    """Copy the configuration of the text tower, if it lies in the folder of the model."""
    path = config.text_config_file
    if path is not None and path.is_relative_to(config.folder) and ".." not in path.parts:
        target = out / path.relative_to(config.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
