"""Training runs: what they save, and what they refuse."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pytest
import torch
from cn_clip.clip import utils as cn_clip_utils
from tusou_lab.convert_model.run import convert_model
from tusou_lab.train.run import TrainReport, train
from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.training import BEST_EPOCH, TEXT, VISION
from tusou.core.errors import BadModel, InputError, InvalidRequest, OutputExists
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.forms.vocabulary import vocabulary_path


def test_only_the_best_checkpoint_and_the_cache_remain(uninterrupted: TrainReport) -> None:
    folder = uninterrupted.checkpoint.parent
    assert sorted(path.name for path in folder.iterdir()) == [
        ".pixels",
        "model.pt",
        "model.pt.history.jsonl",
        "model.pt.json",
    ]
    saved = torch.load(uninterrupted.checkpoint, weights_only=True)
    assert sorted(saved) == ["epoch", "name", "state_dict", "step"]
    assert (saved["epoch"], saved["name"]) == (uninterrupted.best_epoch, "model")
    assert (saved["step"], uninterrupted.steps) == (uninterrupted.best_epoch * 3, 9)
    assert all(key.startswith("module.") for key in saved["state_dict"])
    assert not any("pooler" in key for key in saved["state_dict"])


def test_stock_cn_clip_loads_the_checkpoint(
    uninterrupted: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = tmp_path / "model_configs"
    configs.mkdir()
    (configs / "small.json").write_text(json.dumps(VISION))
    (configs / "text.json").write_text(json.dumps(TEXT))
    monkeypatch.setattr(cn_clip_utils, "__file__", str(tmp_path / "utils.py"))
    model, _ = cn_clip_utils.load_from_name(
        str(uninterrupted.checkpoint),
        "cpu",
        vision_model_name="small",
        text_model_name="text",
        input_resolution=32,
    )
    model.eval()
    with torch.no_grad():
        stock = model.encode_text(cn_clip_utils.tokenize(["红色碎花吊带裙"]))[0]
    encoder = load_text_encoder(find_weights(str(uninterrupted.checkpoint)), "cpu")
    ours = torch.from_numpy(encoder.encode(encoder.prepare(["红色碎花吊带裙"])))[0]
    torch.testing.assert_close(ours, stock / stock.norm(), rtol=1e-5, atol=1e-6)


def test_fine_tunes_a_checkpoint(data: str, tiny_model: Path, tmp_path: Path) -> None:
    spec = TrainSpec(str(tiny_model), 1, 8, 1e-4, 0.001, 0, "bf16", stopping=BEST_EPOCH)
    report = train(data, spec, tmp_path / "tuned.pt", device="cpu")
    before, after = read_tensors(tiny_model), read_tensors(report.checkpoint)
    assert {name: t.shape for name, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert not torch.equal(before["visual.proj"], after["visual.proj"])
    assert load_image_encoder(find_weights(str(report.checkpoint)), "cpu").transform.side == 32


def test_refuses_an_incomplete_checkpoint(data: str, tiny_model: Path, tmp_path: Path) -> None:
    tensors = read_tensors(tiny_model)
    del tensors["visual.ln_post.bias"]
    path = tmp_path / "incomplete.pt"
    torch.save(tensors, path)
    with pytest.raises(BadModel, match="ln_post"):
        train(data, TrainSpec(str(path), 1, 8, 1e-4, 0.0, 0, "fp32"), tmp_path / "x.pt")


def test_a_folder_in_modelscopes_layout_is_saved_as_a_checkpoint(
    data: str, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "multi-modal_clip"
    folder.mkdir()
    tensors = {f"clip_model.{name}": t for name, t in read_tensors(tiny_model).items()}
    torch.save({"state_dict": tensors}, folder / "pytorch_model.bin")
    for name in ("configuration", "vision_model_config", "text_model_config"):
        (folder / f"{name}.json").write_text("{}")
    copyfile(vocabulary_path(), folder / "vocab.txt")
    spec = TrainSpec(str(folder), 1, 8, 1e-4, 0.001, 0, "fp32", stopping=BEST_EPOCH)
    report = train(data, spec, tmp_path / "tuned.pt", device="cpu")
    before, after = read_tensors(tiny_model), read_tensors(report.checkpoint)
    assert {name: t.shape for name, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert not torch.equal(before["visual.proj"], after["visual.proj"])
    (folder / "preprocessor_config.json").write_text('{"size": 40, "crop_size": 32}')
    with pytest.raises(BadModel, match="crops images, which a checkpoint does not say"):
        train(data, spec, tmp_path / "cropped.pt", device="cpu")


def test_an_output_of_another_kind_is_refused_before_the_data_is_read(
    tiny_model: Path, tmp_path: Path
) -> None:
    spec = TrainSpec(str(tiny_model), 1, 8, 1e-4, 0.0, 0, "fp32", stopping=BEST_EPOCH)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputExists, match="is a folder, and a file is written"):
        train("no data", spec, tmp_path / "folder", device="cpu", force=True)
    convert_model(str(tiny_model), "transformers", tmp_path / "model")
    (tmp_path / "file.pt").write_bytes(b"mine")
    with pytest.raises(OutputExists, match="is not a model folder"):
        train(
            "no data",
            replace(spec, model=str(tmp_path / "model")),
            tmp_path / "file.pt",
            device="cpu",
            force=True,
        )
    assert (tmp_path / "file.pt").read_bytes() == b"mine"


def test_adapters_of_random_towers_are_refused(data: str, spec: TrainSpec, tmp_path: Path) -> None:
    assert spec.model.endswith(".json")
    with pytest.raises(InvalidRequest, match="random weights"):
        train(data, replace(spec, lora=2, lora_alpha=4.0), tmp_path / "model.pt", device="cpu")


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_refuses_an_architecture_it_cannot_build(
    data: str, spec: TrainSpec, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError, match="architecture"):
        train(data, replace(spec, model=str(path)), tmp_path / "model.pt", device="cpu")
