"""Refusals of a build, before it encodes and before it publishes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import image_bytes
from tusou_indexer import build as build_module
from tusou_indexer import index_cli
from tusou_indexer.build import BuildSpec, build
from typer import Typer
from typer.testing import CliRunner

from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest

pytestmark = pytest.mark.usefixtures("quick_builds")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("IVF4096,Flat", r"IVF4096,Flat is trained on 4,096 items or more, and there are 20;"),
        ("PQ8", r"trained on 256 items or more"),
        ("PQ7x4fs", "not a FAISS factory for 64 dimensions"),
        ("Flatt", "not a FAISS factory"),
        ("PCAR32,Flat", "trained on 32 items or more"),
    ],
)
def test_an_index_that_the_pool_cannot_have_is_refused_before_anything_is_encoded(
    text_spec: BuildSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    index: str,
    message: str,
) -> None:
    monkeypatch.setattr(build_module, "open_text_encoder", lambda _: pytest.fail("encoded"))
    with pytest.raises(InvalidRequest, match=message):
        build(replace(text_spec, index=index), tmp_path / "b", NoProgress())
    assert not (tmp_path / "b" / "CURRENT").exists()


def run(spec: BuildSpec, out: Path, *options: str) -> tuple[int, str, str]:
    app = Typer()
    app.command()(index_cli.index)
    words = [spec.source, "--out", str(out), "--model", spec.model, "--max-bad", "2", *options]
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.stdout, result.stderr


def test_a_missed_target_is_a_warning_with_both_numbers_and_an_error_if_strict(
    text_spec: BuildSpec, tmp_path: Path
) -> None:
    # Codes of four bits for eight dimensions each, of texts that differ in a number alone.
    options = ["--index", "PQ8x4fs", "--target-recall", "0.9999"]
    code, _, stderr = run(text_spec, tmp_path / "strict", *options, "--strict-recall")
    assert code == 1
    assert "invalid_request: index_recall@10 is 0." in stderr
    assert "0.9999" in stderr
    assert not (tmp_path / "strict" / "CURRENT").exists()
    code, stdout, stderr = run(text_spec, tmp_path / "b", *options, "--json")
    index = Bundle.open(tmp_path / "b").manifest.index
    assert index.index_recall_at_10 is not None
    assert index.index_recall_at_10 < 0.9999
    assert (code, index.target_recall) == (0, 0.9999)
    assert f"warning: index_recall@10 is {index.index_recall_at_10:.4f}" in stderr
    assert "below the target of 0.9999" in stderr
    assert json.loads(stdout)["target_recall"] == 0.9999
    code, _, stderr = run(text_spec, tmp_path / "b", *options, "--strict-recall")
    assert (code, "below the target" in stderr) == (1, True)


def test_a_reached_target_is_no_warning(text_spec: BuildSpec, tmp_path: Path) -> None:
    code, _, stderr = run(text_spec, tmp_path / "b", "--index", "IVF2,Flat", "--strict-recall")
    assert (code, "warning" in stderr) == (0, False)


def test_the_summary_accounts_for_every_row(text_spec: BuildSpec, tmp_path: Path) -> None:
    first = run(text_spec, tmp_path / "b")[1]
    again = run(text_spec, tmp_path / "b", "--index", "SQ8")[1]
    total = "22 rows read = 20 indexed + 2 listed in failures.jsonl"
    assert total in first
    assert total in again
    assert "(20 encoded and 0 taken from before, " in first
    assert "(0 encoded and 20 taken from before, " in again


def test_files_that_are_no_items_are_in_the_summary(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(image_bytes(1))
    (folder / "2.jpg").write_bytes(b"no image")
    (folder / "notes.md").touch()
    code, stdout, stderr = run(BuildSpec(str(folder), str(tiny_model)), tmp_path / "b")
    assert code == 0
    assert "3 rows read = 1 indexed + 1 listed in failures.jsonl + 1 files skipped" in stdout
    assert Bundle.open(tmp_path / "b").manifest.counts.skipped == 1
    assert "skipped 1 " in stderr
    assert "such as notes.md" in stderr
