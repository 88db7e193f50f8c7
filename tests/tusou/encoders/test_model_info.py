"""The output of `tusou info` for a model, from its files and the records beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tusou_lab.convert_model.run import convert_model

from tests.tiny_models import save_tiny_model
from tusou.core.errors import BadModel
from tusou.encoders import find_weights
from tusou.encoders.model_info import describe_model
from tusou.encoders.training_record import SplitRecord, TrainingRecord, write_record


def training_of(checkpoint: Path) -> TrainingRecord:
    split = SplitRecord(source="数据#train", images=8, queries=8, sha256="0" * 64)
    return TrainingRecord(
        tool="tusou 0",
        checkpoint_sha256=find_weights(str(checkpoint)).digest,
        settings={"lr": 5e-5},
        train=split,
        valid=split,
        steps=1,
        losses=((1, 0.5),),
        epochs=(),
        best_epoch=1,
        best_mean_recall=50.0,
        seconds=1.0,
        machine="x",
        date="2026-12-01",
    )


def test_a_checkpoint_shows_its_towers_and_their_parameters(tmp_path: Path) -> None:
    rows = describe_model(str(save_tiny_model(tmp_path / "a.pt"))).rows()
    assert rows["family"] == "chinese-clip"
    assert rows["image tower"] == "32 pixels, 2 layers, 64 wide, 117,760 parameters"
    assert rows["text tower"] == "2 layers, 64 wide, 1,427,584 parameters"
    assert rows["licence"] == "not named in its files"
    assert rows["texts"] == "cn_clip's vocabulary, 52 tokens"
    assert rows["training"] == "not recorded: no file beside the model"


def test_a_folder_shows_its_licence_and_the_training_of_its_source(tmp_path: Path) -> None:
    checkpoint = save_tiny_model(tmp_path / "a.pt")
    write_record(checkpoint, training_of(checkpoint))
    convert_model(str(checkpoint), "transformers", tmp_path / "m")
    (tmp_path / "m/README.md").write_text("---\nlicense: apache-2.0\n---\n")
    info = describe_model(str(tmp_path / "m"))
    rows = info.rows()
    assert rows["licence"] == "apache-2.0"
    assert rows["converted from"].startswith(f"{checkpoint} (sha256 ")
    assert rows["trained by"] == "tusou 0 on 2026-12-01, 1 s, x"
    assert rows["sha256"] == find_weights(str(tmp_path / "m")).digest
    assert not info.changed


def test_records_about_another_model_are_not_shown(tmp_path: Path) -> None:
    checkpoint = save_tiny_model(tmp_path / "a.pt")
    write_record(checkpoint, training_of(checkpoint))
    convert_model(str(checkpoint), "transformers", tmp_path / "m")
    save_tiny_model(checkpoint, seed=1)
    assert describe_model(str(checkpoint)).rows()["training"] == (
        "the record beside it is about another model"
    )
    config = tmp_path / "m/config.json"
    config.write_text(json.dumps(json.loads(config.read_bytes()) | {"note": "changed"}))
    assert "converted from" not in describe_model(str(tmp_path / "m")).rows()


def test_how_a_folder_crops_images_is_shown(tmp_path: Path) -> None:
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", tmp_path / "m")
    settings = tmp_path / "m/preprocessor_config.json"
    crop = {"size": {"shortest_edge": 32}, "do_center_crop": True, "crop_size": 32}
    settings.write_text(json.dumps(json.loads(settings.read_bytes()) | crop))
    rows = describe_model(str(tmp_path / "m")).rows()
    assert rows["images"].startswith("crop to 32 pixels, bicubic")
    assert rows["class"] == "ChineseCLIPModel, as transformers has it"


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    checkpoint = save_tiny_model(tmp_path / "a.pt")
    (tmp_path / "a.pt.conversion.json").write_text("{}")
    with pytest.raises(BadModel, match="is not the record of a conversion"):
        describe_model(str(checkpoint))


def test_the_command_takes_files_folders_and_what_is_neither(tmp_path: Path) -> None:
    convert_model(str(save_tiny_model(tmp_path / "a.pt")), "transformers", tmp_path / "m")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/adapter_config.json").write_text("{}")
    code = f"""
import sys
from typer.testing import CliRunner
from tusou.cli.main import _app
for path in ("a.pt", "m", "lora"):
    result = CliRunner().invoke(_app("info"), ["info", {str(tmp_path)!r} + "/" + path, "--json"])
    print(result.exit_code, result.output.replace(chr(10), ""))
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    checkpoint, folder, adapter = done.stdout.splitlines()
    assert json.loads(checkpoint[2:])["parameters"] == {"image": 117760, "text": 1427584}
    assert json.loads(folder[2:])["conversion"]["form"] == "transformers"
    assert adapter.startswith("1 bad_model: ")
    assert "is an adapter (LoRA), not a model: merge it" in adapter
