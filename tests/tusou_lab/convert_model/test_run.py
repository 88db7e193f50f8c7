"""Conversion of Chinese-CLIP between cn_clip's checkpoints and transformers' folders."""

import json
from pathlib import Path

import pytest
import torch
from tusou_lab.convert_model.run import convert_model

from tests.tiny_models import save_tiny_model
from tusou.core.errors import BadModel, OutputExists
from tusou.encoders import find_weights
from tusou.encoders.checkpoint import read_weights
from tusou.encoders.conversion_record import read_conversion


def test_there_and_back_gives_the_same_numbers(tmp_path: Path) -> None:
    checkpoint = save_tiny_model(tmp_path / "a.pt")
    convert_model(str(checkpoint), "transformers", tmp_path / "folder")
    record = convert_model(str(tmp_path / "folder"), "cnclip", tmp_path / "b.pt")
    before, after = (read_weights(find_weights(str(tmp_path / name))) for name in ("a.pt", "b.pt"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name].float(), after[name]) for name in before)
    assert record == read_conversion(tmp_path / "b.pt")
    assert record.sha256 == find_weights(str(tmp_path / "b.pt")).digest


def test_a_folder_is_complete(tmp_path: Path) -> None:
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", tmp_path / "folder")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    config = json.loads((tmp_path / "folder/config.json").read_bytes())
    assert config["vision_config"]["num_attention_heads"] == 1
    assert config["vision_config"]["image_size"] == 32


def test_a_resnet_has_no_folder(tmp_path: Path) -> None:
    shape = {"vision_layers": (1, 1, 1, 1), "vision_width": 16, "vision_patch_size": None}
    checkpoint = save_tiny_model(tmp_path / "rn.pt", **shape)
    with pytest.raises(BadModel, match="ResNet for images: transformers has no such Chinese-CLIP"):
        convert_model(str(checkpoint), "transformers", tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rn.pt"]


def test_only_outputs_of_this_command_are_replaced(tmp_path: Path) -> None:
    checkpoint = str(save_tiny_model(tmp_path / "a.pt"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(OutputExists, match="was not made by convert-model"):
        convert_model(checkpoint, "transformers", tmp_path / "mine", force=True)
    convert_model(checkpoint, "transformers", tmp_path / "folder")
    with pytest.raises(OutputExists, match="--force"):
        convert_model(checkpoint, "transformers", tmp_path / "folder")
    convert_model(checkpoint, "transformers", tmp_path / "folder", force=True)
    assert (tmp_path / "mine/notes.txt").read_text() == "mine"
