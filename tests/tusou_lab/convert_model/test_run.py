"""Conversion of Chinese-CLIP between cn_clip's checkpoints and transformers' folders."""

import json
from pathlib import Path
from shutil import copyfile

import pytest
import torch
from tusou_lab.convert_model.run import convert_model

from tests.tiny_models import save_tiny_model
from tusou.core.errors import BadModel, OutputExists
from tusou.encoders import find_license, find_weights, image_transform
from tusou.encoders.checkpoint import read_weights
from tusou.encoders.conversion_record import read_conversion
from tusou.encoders.forms.vocabulary import vocabulary_path
from tusou.encoders.model_info import describe_model
from tusou.images.transform import ImageTransform


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


def test_the_licence_goes_with_the_model(tmp_path: Path) -> None:
    source = tmp_path / "source"
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", source)
    assert find_license(find_weights(str(source))) is None
    (source / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# Tiny\n")
    (source / "LICENSE.txt").write_text("All of it.")
    folder, checkpoint = tmp_path / "folder", tmp_path / "b.pt"
    convert_model(str(source), "transformers", folder)
    assert (folder / "LICENSE.txt").read_text() == "All of it."
    assert (folder / "README.md").read_bytes() == (source / "README.md").read_bytes()
    assert convert_model(str(folder), "cnclip", checkpoint).license == "cc-by-nc-4.0"
    convert_model(str(checkpoint), "transformers", tmp_path / "again")
    for model in (folder, checkpoint, tmp_path / "again"):
        assert find_license(find_weights(str(model))) == "cc-by-nc-4.0"
        rows = describe_model(str(model)).rows()
        assert (rows["licence"], rows["warning"]) == (
            "cc-by-nc-4.0",
            "the licence forbids commercial use",
        )


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


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | values))


def test_a_folder_that_crops_stays_one(tmp_path: Path) -> None:
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", tmp_path / "m")
    crop = {"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": 32}
    change_json(tmp_path / "m/preprocessor_config.json", **crop)
    with pytest.raises(BadModel, match="m crops images, which cn_clip does not: use it as it is"):
        convert_model(str(tmp_path / "m"), "cnclip", tmp_path / "b.pt")
    convert_model(str(tmp_path / "m"), "transformers", tmp_path / "n")
    before, after = (image_transform(find_weights(str(tmp_path / name))) for name in ("m", "n"))
    assert before == after == ImageTransform(32, "crop", 40, rgb_first=True)


def test_heads_that_a_checkpoint_does_not_show_stay_in_a_folder(tmp_path: Path) -> None:
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", tmp_path / "m")
    config = json.loads((tmp_path / "m/config.json").read_bytes())
    heads = config["text_config"] | {"num_attention_heads": 4}
    change_json(tmp_path / "m/config.json", text_config=heads)
    with pytest.raises(BadModel, match="attention heads of another width"):
        convert_model(str(tmp_path / "m"), "cnclip", tmp_path / "b.pt")
    convert_model(str(tmp_path / "m"), "transformers", tmp_path / "n")
    config = json.loads((tmp_path / "n/config.json").read_bytes())
    assert config["text_config"]["num_attention_heads"] == 4


def test_the_folder_of_modelscope_is_read_and_converted(tmp_path: Path) -> None:
    """cn_clip's tensors and configuration files, in ModelScope's own layout."""
    checkpoint = save_tiny_model(tmp_path / "a.pt")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    named = {f"clip_model.{name.removeprefix('module.')}": state[name] for name in state}
    folder = tmp_path / "multi-modal_clip"
    folder.mkdir()
    torch.save({"state_dict": named}, folder / "pytorch_model.bin")
    for name in ("configuration", "vision_model_config", "text_model_config"):
        (folder / f"{name}.json").write_text("{}")
    copyfile(vocabulary_path(), folder / "vocab.txt")
    before, after = (read_weights(find_weights(str(path))) for path in (checkpoint, folder))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    convert_model(str(folder), "transformers", tmp_path / "m")
    converted = read_weights(find_weights(str(tmp_path / "m")))
    assert all(torch.equal(before[name].float(), converted[name]) for name in before)
