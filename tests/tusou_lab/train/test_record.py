"""The record beside a checkpoint: settings, data, losses and epochs."""

import json
import re
from pathlib import Path

import pytest
import torch
import typer
from tusou_indexer.cli import info
from tusou_lab.train.history import thin_out
from tusou_lab.train.models.cn_clip import new_network
from tusou_lab.train.run import TrainReport
from tusou_lab.train.spec import TrainSpec
from typer.testing import CliRunner

from tusou.core.files import sha256_of
from tusou.core.hardware import describe_machine
from tusou.encoders.training_record import read_record, record_path


def test_settings_data_and_losses_are_kept_beside_the_checkpoint(
    data: str, spec: TrainSpec, uninterrupted: TrainReport
) -> None:
    record = read_record(uninterrupted.checkpoint)
    assert record
    assert record.checkpoint_sha256 == sha256_of(uninterrupted.checkpoint)
    settings = {
        "model_sha256": sha256_of(Path(spec.model)),
        "loss": "multi-positive",
        "trained_parameters": sum(p.numel() for p in new_network(Path(spec.model)).parameters()),
        "device": "cpu",
        "threads": torch.get_num_threads(),
    }
    assert record.settings == spec.flat() | settings
    assert record.train.source == f"{data}#train"
    assert (record.train.images, record.train.queries) == (24, 24)
    assert (record.valid.images, record.valid.queries) == (20, 6)
    assert record.train.sha256 != record.valid.sha256
    assert [step for step, _ in record.losses] == list(range(1, 10))
    assert [epoch.epoch for epoch in record.epochs] == [1, 2, 3]
    first = [loss for _, loss in record.losses[:3]]
    assert record.epochs[0].loss == pytest.approx(sum(first) / 3, abs=1e-5)
    best = max(epoch.percent["mean_recall"] for epoch in record.epochs)
    assert record.best_mean_recall == best == uninterrupted.best_mean_recall
    assert record.epochs[record.best_epoch - 1].percent["mean_recall"] == best
    assert record.steps == 9
    assert record.machine == describe_machine()


def test_info_shows_the_training_of_a_checkpoint(
    uninterrupted: TrainReport, tiny_model: Path, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.command()(info)
    path = uninterrupted.checkpoint
    shown = CliRunner().invoke(app, [str(path)]).stdout
    assert "image tower  32 pixels, 1 layers, 64 wide, " in shown
    assert "epochs 3, batch_size 8, lr 0.001" in shown
    assert re.findall(r"^epoch (\d) +loss \d", shown, re.M) == ["1", "2", "3"]
    assert shown.count("(kept)") == 1
    described = json.loads(CliRunner().invoke(app, [str(path), "--json"]).stdout)
    assert described["sha256"] == sha256_of(path)
    assert described["training"]["best_epoch"] == uninterrupted.best_epoch
    copy = tmp_path / "model.pt"
    copy.write_bytes(tiny_model.read_bytes())
    assert "not recorded" in CliRunner().invoke(app, [str(copy)]).stdout
    (tmp_path / "model.pt.json").write_bytes(record_path(path).read_bytes())
    assert "is about another model" in CliRunner().invoke(app, [str(copy)]).stdout
    (tmp_path / "model.pt.json").write_text("{}")
    refused = CliRunner().invoke(app, [str(copy)])
    assert (refused.exit_code, refused.stderr.split(":")[0]) == (1, "bad_model")


def test_a_long_curve_is_thinned_to_means() -> None:
    points = thin_out([float(step) for step in range(1000)], 200)
    assert len(points) == 200
    assert (points[0], points[-1]) == ((5, 2.0), (1000, 997.0))
    assert thin_out([2.0, 4.0, 9.0], 2) == [(2, 3.0), (3, 9.0)]
