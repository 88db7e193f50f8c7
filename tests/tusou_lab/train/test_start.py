"""The model before its training is scored first, and kept if no epoch is better."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file
from tusou_lab.convert_model.run import convert_model
from tusou_lab.train import contrastive
from tusou_lab.train.cli import train as command
from tusou_lab.train.contrastive import ContrastiveTask
from tusou_lab.train.data import SplitEncoder, load_split
from tusou_lab.train.models import TrainableModel, open_trainable
from tusou_lab.train.processes import Processes
from tusou_lab.train.rounding import rounded_weights
from tusou_lab.train.run import TrainReport, train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.validate import validate
from typer.testing import CliRunner

from tests.tusou_lab.train.training import BEST_EPOCH, KillAfter, assert_same_weights
from tusou.cli.progress import NoProgress
from tusou.data import open_dataset
from tusou.encoders.training_record import read_record


class KillAt(NoProgress):
    """Interrupts the run where a stage begins."""

    def __init__(self, label: str) -> None:
        self._label = label

    def begin(self, label: str, total: int, done: int = 0) -> None:
        if label == self._label:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def still(tiny_model: Path) -> TrainSpec:
    """Return settings with which no step changes a weight, so that every epoch ties."""
    return TrainSpec(str(tiny_model), 2, 8, 0.0, 0.0, 7, "fp32")


def score_of(model: Path, data: str, cache: Path) -> float:
    trained = open_trainable(str(model))
    encoder = SplitEncoder(trained.traits.transform, trained.tokenize)
    split = load_split(open_dataset(data), "valid", encoder, cache, NoProgress())
    return validate(trained, split, torch.device("cpu"))["mean_recall"]


def test_the_start_is_kept_as_it_was(
    data: str, still: TrainSpec, tiny_model: Path, tmp_path: Path
) -> None:
    report = train(data, still, tmp_path / "out.pt", device="cpu")
    assert (report.best_epoch, report.steps) == (0, 6)
    assert report.start_mean_recall == report.best_mean_recall
    assert_same_weights(tmp_path / "out.pt", tiny_model)
    assert report.best_mean_recall == score_of(tiny_model, data, tmp_path / "cache")
    record = read_record(tmp_path / "out.pt")
    assert record is not None
    assert record.best_epoch == 0
    assert record.start == record.epochs[0].percent == record.epochs[1].percent


def test_adapters_and_folders_keep_their_start(
    data: str, still: TrainSpec, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    convert_model(str(tiny_model), "transformers", folder)
    spec = replace(still, model=str(folder), epochs=1, lora=2, lora_alpha=4.0)
    assert train(data, spec, tmp_path / "out", device="cpu").best_epoch == 0
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "out"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_start_of_an_architecture_counts(
    data: str, spec: TrainSpec, uninterrupted: TrainReport, tmp_path: Path
) -> None:
    report = train(data, replace(spec, lr=0.0, epochs=1), tmp_path / "out.pt", device="cpu")
    assert report.best_epoch == 0
    assert report.best_mean_recall == score_of(tmp_path / "out.pt", data, tmp_path / "cache")
    assert uninterrupted.start_mean_recall is not None
    assert uninterrupted.best_mean_recall >= uninterrupted.start_mean_recall


@pytest.mark.parametrize("stage", ["scoring the model before training", "training"])
def test_a_run_that_is_killed_around_the_start_resumes_to_the_same_weights(
    data: str, spec: TrainSpec, uninterrupted: TrainReport, tmp_path: Path, stage: str
) -> None:
    out = tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAt(stage))
    assert out.exists() == (stage == "training")
    resumed = train(data, spec, out, device="cpu")
    assert resumed.start_mean_recall == uninterrupted.start_mean_recall
    assert_same_weights(out, uninterrupted.checkpoint)


def test_a_resumed_run_does_not_score_the_start_again(
    data: str, still: TrainSpec, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, still, out, device="cpu", progress=KillAfter(2))
    report = train(
        data, still, out, device="cpu", progress=KillAt("scoring the model before training")
    )
    assert (report.best_epoch, report.steps) == (0, 6)
    assert_same_weights(out, tiny_model)


def test_the_command_says_that_the_start_is_kept(
    data: str, tiny_model: Path, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(command)
    options = ["--model", str(tiny_model), "--out", str(tmp_path / "out.pt"), "--epochs", "1"]
    options += ["--lr", "0", "--batch-size", "8", "--device", "cpu"]
    done = CliRunner().invoke(app, [data, *options])
    assert done.exit_code == 0
    assert "on valid before training, 3 steps" in done.stdout
    assert "no epoch was better than the model at the start" in done.stderr


def test_a_model_in_single_precision_is_kept_to_the_last_digit(
    data: str, still: TrainSpec, tiny_model: Path, tmp_path: Path
) -> None:
    source = tmp_path / "single.pt"
    checkpoint = torch.load(tiny_model, weights_only=True)
    state = checkpoint["state_dict"]
    for name, tensor in state.items():
        if tensor.is_floating_point() and "visual" in name:  # the rest stays in half precision
            state[name] = tensor.float() * (1 + 2**-20)
    torch.save(checkpoint, source)
    train(data, replace(still, model=str(source), epochs=1), tmp_path / "out.pt", device="cpu")
    assert_same_weights(tmp_path / "out.pt", source)


def test_rounded_weights_are_those_of_the_file(tiny_model: Path, tmp_path: Path) -> None:
    model = open_trainable(str(tiny_model))
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(1 + 2**-13)  # between two numbers of half precision
    own = weights_of(model)
    model.save(tmp_path / "saved.pt", 0, 0)
    saved = open_trainable(str(tmp_path / "saved.pt")).network.state_dict()
    name = "visual.proj"
    assert not torch.equal(own[name], saved[name])
    with rounded_weights(model):
        inside = weights_of(model)
    assert all(torch.equal(inside[name], saved[name]) for name in saved if "pooler" not in name)
    assert all(torch.equal(own[name], each) for name, each in model.network.state_dict().items())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="all weights"),
        pytest.param({"lora": 2, "lora_alpha": 4.0}, id="adapters"),
        pytest.param({"step": StepSpec(ema=0.9)}, id="average"),
    ],
)
def test_the_best_score_is_that_of_the_file(
    data: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> None:
    spec = TrainSpec(str(tiny_model), 1, 8, 1e-3, 0.0, 7, "fp32", stopping=BEST_EPOCH)
    task = ContrastiveTask(
        replace(spec, **options),
        tmp_path / "out.pt",
        data,
        None,
        torch.device("cpu"),
        NoProgress(),
        Processes(),
    )
    for batch in task.batches.epoch(0):
        task.train_step(batch)
    validated: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(contrastive, "validate", lambda m, *_: validated.update(weights_of(m)))
    task.validate()
    task.save(tmp_path / "out.pt", 1, 3, {})
    saved = weights_of(open_trainable(str(tmp_path / "out.pt")))
    assert all(torch.equal(validated[name], saved[name]) for name in saved if "pooler" not in name)


def weights_of(model: TrainableModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
