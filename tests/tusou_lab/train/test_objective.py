"""Losses with parameters, hard negatives and changed texts in runs that are killed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tusou_lab.train import loop
from tusou_lab.train.augment import AugmentSpec
from tusou_lab.train.hard_negatives import NegativeMiner, NegativesSpec
from tusou_lab.train.identities import Positions
from tusou_lab.train.losses import LossSpec
from tusou_lab.train.run import train
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec

from tests.tusou_lab.train.training import KillAfter, assert_same_weights
from tusou.core.errors import InvalidRequest
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.training_record import read_record

MODES: dict[str, dict[str, Any]] = {
    "arcface": {"losses": LossSpec("arcface", 0.1)},
    "sigmoid": {"losses": LossSpec("sigmoid")},
    "triplet and hard negatives": {
        "losses": LossSpec("triplet"),
        "negatives": NegativesSpec(2, 2, negative_ceiling=1.0),
    },
    "augmented, hard negatives of an epoch": {
        "negatives": NegativesSpec(1),
        "augment": AugmentSpec(
            ("crop", "flip", "colour", "cut-out"), ("order", "synonyms", "drop", "templates")
        ),
        "prompt": "一张{query}的照片",
    },
}


@pytest.mark.services
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_a_killed_run_resumes_to_the_same_weights(
    data: str,
    spec: TrainSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: dict[str, Any],
) -> None:
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    spec = replace(spec, epochs=2, **mode)
    whole, killed = tmp_path / "whole.pt", tmp_path / "killed.pt"
    train(data, spec, whole, device="cpu")
    with pytest.raises(KeyboardInterrupt):  # after step 4 of 6, saved after step 3
        train(data, spec, killed, device="cpu", progress=KillAfter(4))
    train(data, spec, killed, device="cpu")
    assert_same_weights(whole, killed)
    ours, theirs = read_record(killed), read_record(whole)
    assert ours is not None
    assert theirs is not None
    assert ours.losses == theirs.losses


def test_parameters_of_a_loss_are_trained_and_in_the_state(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    out = tmp_path / "model.pt"
    spec = replace(spec, losses=LossSpec("arcface"), negatives=NegativesSpec(1, 2))
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(4))
    state = torch.load(tmp_path / "model.pt.state", weights_only=True)
    saved = {name.removeprefix("trained."): part for name, part in state["model"].items()}
    prototypes = saved["loss.prototypes"]
    assert prototypes.shape == (24, 64)
    # Its own group of the optimiser has moments of it after the first epoch.
    moments = [entry["exp_avg"].shape for entry in state["optimiser"]["state"].values()]
    assert prototypes.shape in moments
    assert int(saved["negatives.mined_at"]) == 2
    assert (saved["negatives.table"] >= 0).any()


def test_settings_are_recorded_and_the_saved_model_has_no_part_of_the_loss(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    mode = {"losses": LossSpec("arcface", 0.1), "negatives": NegativesSpec(1)}
    out = tmp_path / "model.pt"
    train(data, replace(spec, epochs=1, **mode), out, device="cpu")
    record = read_record(out)
    assert record is not None
    expected = {
        "loss": "arcface", "margin": 0.1, "duplicates": "near", "hard_negatives": 1,
        "mine_by": "score,words,look", "augment_images": "shift,flip", "augment_texts": "",
    }  # fmt: skip
    assert expected.items() <= record.settings.items()
    assert not any("prototypes" in name or "table" in name for name in read_tensors(out))


def test_negatives_are_mined_by_steps_of_several_batches(
    data: str, spec: TrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined: list[tuple[int, int]] = []
    mine = NegativeMiner.mine

    def record(miner: NegativeMiner, queries: Positions, batch: int) -> Positions:
        mined.append((batch, len(queries)))
        return mine(miner, queries, batch)

    monkeypatch.setattr(NegativeMiner, "mine", record)
    mode: dict[str, Any] = {"negatives": NegativesSpec(1, 2), "step": StepSpec(accumulate=2)}
    settings = replace(spec, epochs=1, batch_size=3, **mode)
    train(data, settings, tmp_path / "model.pt", device="cpu")  # 8 batches in 4 steps
    assert mined == [(0, 12), (4, 12)]


def test_a_prompt_is_part_of_the_texts(data: str, spec: TrainSpec, tmp_path: Path) -> None:
    plain, prompted = tmp_path / "plain.pt", tmp_path / "prompted.pt"
    for out, prompt in ((plain, ""), (prompted, "一张{query}的照片")):
        train(data, replace(spec, epochs=1, prompt=prompt), out, device="cpu")
    ours, theirs = read_tensors(plain), read_tensors(prompted)
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(InvalidRequest, match="exactly once"):
        train(data, replace(spec, prompt="照片"), tmp_path / "x.pt", device="cpu")


def test_a_margin_needs_a_loss_that_has_one(data: str, spec: TrainSpec, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="of --loss triplet and arcface, not of sigmoid"):
        train(data, replace(spec, losses=LossSpec("sigmoid", 0.1)), tmp_path / "x.pt", device="cpu")
