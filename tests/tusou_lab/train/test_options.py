"""Options of `tusou train` that exclude each other, and their defaults."""

from pathlib import Path

import pytest
import typer
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train.cli import train
from tusou_lab.train.options import GivenOptions
from tusou_lab.train.recipes import TrainingSize, choose_recipe
from tusou_lab.train.spec import TrainSpec
from typer.testing import CliRunner

from tusou.encoders.training_record import read_record

app = typer.Typer()
app.command()(train)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        pytest.param(["--model", "demo", "--lora", "0"], 2, "--lora", id="rank 0"),
        pytest.param(["--model", "demo", "--freeze", "images"], 1, "layers:N", id="no such tower"),
        pytest.param(
            ["--model", "demo", "--lora-alpha", "8"], 1, "need --lora", id="alpha without a rank"
        ),
        pytest.param(
            ["--model", "demo", "--distil", "features"], 1, "need --teacher", id="no teacher"
        ),
        pytest.param(
            ["--task", "rerank", "--from", ".", "--teacher", "demo"],
            1,
            "--task contrastive",
            id="reranker's teacher",
        ),
        pytest.param(
            ["--task", "rerank", "--from", ".", "--lora", "4"], 1, "contrastive", id="reranker"
        ),
        pytest.param(
            ["--task", "rerank", "--from", ".", "--freeze", "text"], 1, "contrastive", id="frozen"
        ),
        pytest.param(
            ["--task", "rerank", "--from", ".", "--hard-negatives", "2"],
            1,
            "contrastive",
            id="negatives",
        ),
        pytest.param(
            ["--model", "demo", "--loss", "sigmoid", "--margin", "0.1"],
            1,
            "not of sigmoid",
            id="margin of no loss",
        ),
        pytest.param(
            ["--model", "demo", "--mine-every", "5"], 1, "--hard-negatives", id="nothing to mine"
        ),
        pytest.param(
            ["--model", "demo", "--augment-text", "shuffle"],
            1,
            "'shuffle' is not one of order",
            id="no such policy",
        ),
        pytest.param(
            ["--model", "demo", "--prompt", "一张照片"], 1, "exactly once", id="no {query}"
        ),
        pytest.param(
            ["--task", "rerank", "--from", ".", "--data", "b"], 1, "contrastive", id="mixture"
        ),
        pytest.param(
            ["--task", "rerank", "--from", ".", "--patience", "2"], 1, "contrastive", id="patience"
        ),
        pytest.param(["--task", "rerank", "--from", ".", "--why"], 1, "contrastive", id="why"),
        pytest.param(["--model", "demo", "--no-interpret"], 1, "--task rerank", id="interpret"),
    ],
)
def test_refuses(tmp_path: Path, options: list[str], code: int, message: str) -> None:
    done = CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "out.pt"), *options])
    assert done.exit_code == code
    assert message in done.stderr


def test_data_is_required_and_the_option_is_enough(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    options = ["--model", spec.model, "--epochs", "1", "--batch-size", "4", "--device", "cpu"]
    options += ["--patience", "0"]
    done = CliRunner().invoke(app, ["--out", str(tmp_path / "none.pt"), *options])
    assert done.exit_code == 1
    assert "--data DATA" in done.stderr
    records = []
    other = tmp_path / "other"
    write_toy(other, [SplitSize("train", 20, 20)], seed=9)
    second = f"{other}#train:0.5"
    for name, sources in (
        ("option", ["--data", f"{data}#train", "--data", second]),
        ("argument", [f"{data}#train", "--data", second]),
    ):
        out = tmp_path / f"{name}.pt"
        done = CliRunner().invoke(app, [*sources, "--out", str(out), *options])
        assert done.exit_code == 0, done.stderr
        record = read_record(out)
        assert record is not None
        records.append((record.train, record.valid, record.losses))
    assert records[0] == records[1]
    assert records[0][0].source == f"{data}#train + {second}"
    assert records[0][1].source == f"{data}#valid"


def given(**options: object) -> GivenOptions:
    nothing = dict.fromkeys(["bundle", "layers", "epochs", "batch_size", "lr", "weight_decay"])
    fixed = {"task": "contrastive", "model": "demo", "seed": 0, "precision": "fp32"}
    return GivenOptions(**nothing | fixed | options)  # type: ignore[arg-type]


def contrastive(**options: object) -> TrainSpec:
    chosen = given(**options)
    recipe = choose_recipe(TrainingSize(3_000, 4_000_000), None, adapters=bool(chosen.lora))
    return chosen.contrastive(recipe)


def test_adapters_have_defaults_of_their_own() -> None:
    whole, adapters = contrastive(), contrastive(lora=8)
    assert (whole.lr, whole.lora, whole.lora_settings) == (5e-5, 0, None)
    assert (adapters.lr, adapters.lora, adapters.lora_alpha) == (5e-4, 8, 16.0)
    assert adapters.lora_target == "attention"
    assert contrastive(lora=8, lr=1e-4).lr == 1e-4


def test_a_reranker_is_trained_on_interpreted_queries_unless_switched_off() -> None:
    common = {"task": "rerank", "model": None, "bundle": Path("b")}
    specs = [given(**common, interpret=interpret).rerank()[0] for interpret in (True, False)]
    assert [spec.interpret for spec in specs] == [True, False]
