"""Recipes by the number of pairs and the size of the model; given options win."""

from pathlib import Path

import pytest
import typer
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.cli import train
from tusou_lab.train.recipes import TrainingSize, choose_recipe, default_patience, measure
from tusou_lab.train.sources import TrainingSource
from tusou_lab.train.spec import TrainSpec
from typer.testing import CliRunner

from tusou.encoders.training_record import read_record

app = typer.Typer()
app.command()(train)


@pytest.mark.parametrize(
    ("pairs", "parameters", "adapters", "name", "lr"),
    [
        pytest.param(3_000, 4_000_000, False, "small", 5e-5, id="demo model"),
        pytest.param(3_000, 188_000_000, False, "small", 5e-6, id="ViT-B-16 on few pairs"),
        pytest.param(30_000, 188_000_000, True, "medium", 1e-4, id="its adapters"),
        pytest.param(250_000, 958_000_000, False, "large", 3e-6, id="ViT-H-14 on MUGE"),
        pytest.param(250_000, None, False, "large", 5e-4, id="random weights"),
    ],
)
def test_the_size_decides(
    pairs: int, parameters: int | None, adapters: bool, name: str, lr: float
) -> None:
    recipe = choose_recipe(TrainingSize(pairs, parameters), None, adapters=adapters)
    assert (recipe.name, recipe.lr) == (name, lr)
    named = choose_recipe(TrainingSize(pairs, parameters), "large", adapters=adapters)
    assert (named.name, named.epochs, named.lr) == ("large", 3, lr)


def test_few_pairs_have_several_steps_in_an_epoch() -> None:
    batches = [
        choose_recipe(TrainingSize(pairs, 1), None, adapters=False).batch_size
        for pairs in (5, 100, 300, 5_000)
    ]
    assert batches == [8, 12, 37, 64]


def test_patience_is_a_third_of_the_epochs() -> None:
    assert [default_patience(epochs) for epochs in (1, 9, 10, 30)] == [3, 3, 4, 10]


def test_pairs_are_counted_without_decoding(data: str, tiny_model: Path, spec: TrainSpec) -> None:
    sources = [TrainingSource(data), TrainingSource(data, 0.5)]
    size = measure(sources, str(tiny_model))
    assert size.pairs == 24 + 12
    assert size.parameters is not None
    assert measure(sources, spec.model).parameters is None


def run(data: str, *options: str) -> str:
    done = CliRunner().invoke(app, [data, "--device", "cpu", *options])
    assert done.exit_code == 0, done.stderr
    return done.stderr


def test_the_command_says_what_was_chosen_and_given_options_win(
    data: str, tiny_model: Path, tmp_path: Path
) -> None:
    more, out = tmp_path / "more", tmp_path / "out.pt"
    write_toy(more, [SplitSize("train", 24, 24)], seed=2)
    options = ["--model", str(tiny_model), "--out", str(out), "--epochs", "1"]
    said = run(data, *options, "--data", f"{more}:0.5", "--recipe", "medium", "--lr", "1e-4")
    chosen = next(line for line in said.splitlines() if line.startswith("recipe"))
    assert chosen.startswith("recipe medium (36 pairs, ")
    assert chosen.endswith("batches of 8, weight decay 0.005")
    record = read_record(out)
    assert record is not None
    settings = record.settings
    assert (settings["recipe"], settings["lr"], settings["epochs"]) == ("medium", 1e-4, 1)
    assert (settings["batch_size"], settings["weight_decay"]) == (8, 0.005)
    assert settings["patience"] == 3
