"""A training run: resumable to the bit, its checkpoint readable by cn_clip itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cn_clip.clip import utils as cn_clip_utils
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train import run
from tusou_lab.train.run import TrainReport, TrainSpec, train

from tusou.cli.progress import NoProgress
from tusou.core.errors import BadDataset, BadModel, InputError, OutputExists
from tusou.encoders import find_weights, load_image_encoder, load_text_encoder
from tusou.encoders.checkpoint import read_tensors

VISION = {
    "embed_dim": 64,
    "image_resolution": 32,
    "vision_layers": 1,
    "vision_width": 64,
    "vision_patch_size": 16,
}
TEXT = {
    "vocab_size": 21128,
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,  # so that resuming has a random stream to restore
    "text_hidden_size": 64,
    "text_initializer_range": 0.02,
    "text_intermediate_size": 64,
    "text_max_position_embeddings": 64,
    "text_num_attention_heads": 1,
    "text_num_hidden_layers": 1,
    "text_type_vocab_size": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, [SplitSize("train", 24, 24), SplitSize("valid", 20, 6)], seed=1)
    return folder


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> TrainSpec:
    path = tmp_path_factory.mktemp("model") / "tiny.json"
    path.write_text(json.dumps(VISION | TEXT))
    return TrainSpec(str(path), 3, 8, 1e-3, 0.05, 7, "fp32")


@pytest.fixture(scope="module")
def whole(data: Path, spec: TrainSpec, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    """Train once without a break."""
    return train(data, spec, tmp_path_factory.mktemp("whole") / "model.pt", device="cpu")


class Stopper(NoProgress):
    """Kills the run after some steps."""

    def __init__(self, steps: int) -> None:
        self._left: int | None = None
        self._steps = steps

    def begin(self, label: str, total: int, done: int = 0) -> None:
        if label == "training":
            self._left = self._steps

    def advance(self, note: str = "") -> None:
        if self._left is not None:
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


def test_keeps_the_best_checkpoint_and_nothing_else(whole: TrainReport) -> None:
    folder = whole.checkpoint.parent
    assert sorted(path.name for path in folder.iterdir()) == [".pixels", "model.pt"]
    saved = torch.load(whole.checkpoint, weights_only=True)
    assert sorted(saved) == ["epoch", "name", "state_dict", "step"]
    assert (saved["epoch"], saved["name"]) == (whole.best_epoch, "model")
    assert (saved["step"], whole.steps) == (whole.best_epoch * 3, 9)
    assert all(key.startswith("module.") for key in saved["state_dict"])
    assert not any("pooler" in key for key in saved["state_dict"])


@pytest.mark.parametrize("steps", [4, 9])
def test_a_killed_run_goes_on_to_the_same_bits(
    data: Path,
    spec: TrainSpec,
    whole: TrainReport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
) -> None:
    monkeypatch.setattr(run, "_SAVE_SECONDS", 0.0)
    out = tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", watcher=Stopper(steps))
    resumed = train(data, spec, out, device="cpu")
    assert (resumed.best_epoch, resumed.best_mean_recall) == (
        whole.best_epoch,
        whole.best_mean_recall,
    )
    ours, theirs = read_tensors(out), read_tensors(whole.checkpoint)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_stock_cn_clip_loads_it_and_agrees(
    whole: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = tmp_path / "model_configs"
    configs.mkdir()
    (configs / "small.json").write_text(json.dumps(VISION))
    (configs / "text.json").write_text(json.dumps(TEXT))
    monkeypatch.setattr(cn_clip_utils, "__file__", str(tmp_path / "utils.py"))
    model, _ = cn_clip_utils.load_from_name(
        str(whole.checkpoint),
        "cpu",
        vision_model_name="small",
        text_model_name="text",
        input_resolution=32,
    )
    model.eval()
    with torch.no_grad():
        stock = model.encode_text(cn_clip_utils.tokenize(["红色碎花吊带裙"]))[0]
    encoder = load_text_encoder(find_weights(str(whole.checkpoint)), "cpu")
    ours = torch.from_numpy(encoder.encode(encoder.prepare(["红色碎花吊带裙"])))[0]
    torch.testing.assert_close(ours, stock / stock.norm(), rtol=1e-5, atol=1e-6)


def test_fine_tunes_any_checkpoint(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    spec = TrainSpec(str(tiny_model), 1, 8, 1e-4, 0.001, 0, "bf16")
    report = train(data, spec, tmp_path / "tuned.pt", device="cpu")
    before, after = read_tensors(tiny_model), read_tensors(report.checkpoint)
    assert {name: t.shape for name, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert not torch.equal(before["visual.proj"], after["visual.proj"])
    assert load_image_encoder(find_weights(str(report.checkpoint)), "cpu").image_size == 32


def test_refuses_a_checkpoint_with_a_hole(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    tensors = read_tensors(tiny_model)
    del tensors["visual.ln_post.bias"]
    path = tmp_path / "hole.pt"
    torch.save(tensors, path)
    with pytest.raises(BadModel, match="ln_post"):
        train(data, TrainSpec(str(path), 1, 8, 1e-4, 0.0, 0, "fp32"), tmp_path / "x.pt")


def test_refuses_what_is_in_the_way(
    data: Path, spec: TrainSpec, whole: TrainReport, tmp_path: Path
) -> None:
    with pytest.raises(OutputExists, match="--force"):
        train(tmp_path / "before any work", spec, whole.checkpoint, device="cpu")
    out = tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", watcher=Stopper(1))
    with pytest.raises(InputError, match="other settings"):
        train(data, replace(spec, epochs=4), out, device="cpu")


def test_passes_over_unusable_images(data: Path, spec: TrainSpec, tmp_path: Path) -> None:
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    images = tmp_path / "MR_valid_imgs.tsv"
    images.write_bytes(b"20000099\tnot-a-image\n" + images.read_bytes())
    report = train(tmp_path, spec, tmp_path / "out" / "model.pt", device="cpu")
    assert report.steps == 9
    images.write_bytes(b"20000099\tnot-a-image\n")
    with pytest.raises(BadDataset, match="no valid query"):
        train(tmp_path, spec, tmp_path / "out" / "other.pt", device="cpu")
    images.unlink()
    with pytest.raises(BadDataset, match="is missing"):
        train(tmp_path, spec, tmp_path / "out" / "other.pt", device="cpu")


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_refuses_an_architecture_it_cannot_build(
    data: Path, spec: TrainSpec, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError, match="architecture"):
        train(data, replace(spec, model=str(path)), tmp_path / "model.pt", device="cpu")
