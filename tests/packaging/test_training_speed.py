"""The benchmark of training speed: what cn_clip's script needs, and the loss of both trainings."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tusou_lab.toy.dataset import SplitSize, write_toy

from benchmarks import training_speed
from benchmarks.cn_clip_training import check_packages
from benchmarks.training_speed import Amount, TusouTraining


def test_missing_packages_are_named() -> None:
    missing = [name for name in ("lmdb", "timm") if find_spec(name) is None]
    if not missing:
        check_packages()
        return
    with pytest.raises(SystemExit, match=" and ".join(missing)):
        check_packages()


def test_a_call_trains_its_steps_on_new_batches(tmp_path: Path) -> None:
    write_toy(tmp_path, [SplitSize("train", 12, 12), SplitSize("valid", 4, 4)], 3)
    training = TusouTraining("demo", tmp_path, 4, 2, 2)
    weights = [p.detach().clone() for p in training.task.model.parameters()]
    training.train()
    state = training.task.optimiser.state
    assert {int(values["step"]) for values in state.values()} == {2}
    moved = zip(weights, training.task.model.parameters(), strict=True)
    assert sum(not torch.equal(before, after) for before, after in moved) > len(weights) / 2
    training.train()
    assert {int(values["step"]) for values in state.values()} == {4}


@pytest.mark.skipif(
    find_spec("lmdb") is None or find_spec("timm") is None, reason="needs lmdb and timm"
)
def test_both_trainings_have_the_same_loss_and_are_timed(tmp_path: Path) -> None:
    from benchmarks.cn_clip_training import one_process, write_lmdb

    write_toy(tmp_path, [SplitSize("train", 12, 12), SplitSize("valid", 4, 4)], 3)
    with one_process():
        lmdb = write_lmdb(tmp_path, "train")
        figures = training_speed.measure("demo", tmp_path, lmdb, Amount(4, 2, 1))
    losses = figures["loss of a batch"]
    assert isinstance(losses, dict)
    assert losses["cn_clip"] == pytest.approx(losses["tusou"], abs=1e-3)
    assert isinstance(figures["times_faster_fastest"], float)
    assert not torch.distributed.is_initialized()
