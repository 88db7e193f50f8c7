"""The two uses of `tusou convert-model` exclude each other, and name the extra that they need."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from tusou_lab.convert_model.cli import convert_model
from typer.testing import CliRunner, Result

from tests.tiny_models import save_tiny_model


def run_command(*words: object) -> Result:
    app = typer.Typer()
    app.command()(convert_model)
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a.pt"],
        ["--to", "onnx"],
        ["--text", "a"],
        ["a.pt", "--to", "onnx", "--text", "a", "--image", "b"],
    ],
)
def test_a_half_request_is_refused(words: list[str], tmp_path: Path) -> None:
    result = run_command(*words, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--text with --image" in result.output


@pytest.mark.parametrize("option", [("--dim", "64"), ("--seed", "0"), ("--pooling", "mean")])
def test_an_option_of_the_other_use_is_refused(option: tuple[str, str], tmp_path: Path) -> None:
    checkpoint = save_tiny_model(tmp_path / "a.pt")
    words = (checkpoint, "--to", "transformers", *option, "--out", tmp_path / "out")
    result = run_command(*words)
    assert result.exit_code == 2
    assert option[0] in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("onnx") is not None, reason="the extra is installed")
def test_the_extra_is_named(tmp_path: Path) -> None:
    checkpoint = str(save_tiny_model(tmp_path / "a.pt"))
    for words in ([checkpoint, "--to", "onnx"], ["--text", "a", "--image", "b"]):
        result = run_command(*words, "--out", tmp_path / "out")
        assert result.exit_code == 1
        assert "install tusou[models]" in result.output
    assert not (tmp_path / "out").exists()
