"""Files for TensorBoard, read with its own reader; a resumed run repeats no step in them."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tusou_lab.train import loop
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.training import KillAfter
from tusou.core.errors import MissingDependency


def test_the_package_is_named_before_anything_is_read(
    spec: TrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(MissingDependency, match=r"install tusou\[tensorboard\]"):
        train("no data", spec, tmp_path / "x.pt", device="cpu", tensorboard=tmp_path / "board")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", [2, 5])
def test_curves_are_whole_after_a_kill_and_when_a_run_starts_over(
    data: str, spec: TrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    pytest.importorskip("tensorboard", reason="needs tusou[tensorboard]")
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 1e9)  # the state is that of the last epoch
    spec, out, folder = replace(spec, epochs=2), tmp_path / "model.pt", tmp_path / "board"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", tensorboard=folder, progress=KillAfter(steps))
    train(data, spec, out, device="cpu", tensorboard=folder)
    assert_whole(folder)
    train(data, spec, out, device="cpu", tensorboard=folder, force=True)
    assert_whole(folder)


def assert_whole(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(folder))
    curves.Reload()
    assert [event.step for event in curves.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in curves.Scalars("valid/mean_recall")] == [0, 3, 6]
    assert {"train/temperature", "train/pairs_per_second", "valid/hit_at_1"} <= set(
        curves.Tags()["scalars"]
    )
