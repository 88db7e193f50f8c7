"""Runs that are killed or get a signal, and go on to the same weights."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from time import sleep

import pytest
import torch
from drawing import image_bytes
from tusou_lab.toy.dataset import SplitSize, write_toy
from tusou_lab.train import loop
from tusou_lab.train.run import TrainReport, train
from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.training import (
    KillAfter,
    assert_same_weights,
    train_until_signal,
    write_flickr8k,
)
from tusou.core.errors import InputError, OutputExists
from tusou.encoders.training_record import read_record

pytestmark = pytest.mark.services


@pytest.mark.parametrize("steps", [4, 9])
def test_a_killed_run_resumes_to_the_same_weights(
    data: str,
    spec: TrainSpec,
    uninterrupted: TrainReport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
) -> None:
    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0.0)
    out = tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(steps))
    resumed = train(data, spec, out, device="cpu")
    assert (resumed.best_epoch, resumed.best_mean_recall) == (
        uninterrupted.best_epoch,
        uninterrupted.best_mean_recall,
    )
    assert_same_weights(out, uninterrupted.checkpoint)
    ours, theirs = read_record(out), read_record(uninterrupted.checkpoint)
    assert ours
    assert theirs
    assert ours.losses == theirs.losses
    assert [epoch.percent for epoch in ours.epochs] == [epoch.percent for epoch in theirs.epochs]


@pytest.mark.parametrize(
    ("number", "steps", "at"),
    [
        pytest.param(signal.SIGTERM, 4, 4, id="in an epoch"),
        pytest.param(signal.SIGINT, 6, 6, id="at the end of an epoch, which is validated"),
    ],
)
def test_a_signal_saves_and_the_same_command_goes_on(
    data: str,
    spec: TrainSpec,
    uninterrupted: TrainReport,
    tmp_path: Path,
    number: signal.Signals,
    steps: int,
    at: int,
) -> None:
    out = tmp_path / "model.pt"
    # In a process of its own, which a signal may end if it is not handled.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        message = pool.submit(train_until_signal, data, spec, out, number, steps).result()
    assert re.search(f"{number.name} at step {at} of 9.*same command again", message)
    state = torch.load(tmp_path / "model.pt.state", weights_only=True)
    assert (state["step"], len(state["history"]["epochs"])) == (at, at // 3)
    train(data, spec, out, device="cpu")
    assert_same_weights(out, uninterrupted.checkpoint)
    assert not (tmp_path / "model.pt.state").exists()


def test_a_signal_at_the_last_step_is_too_late(
    data: str, spec: TrainSpec, uninterrupted: TrainReport, tmp_path: Path
) -> None:
    out = tmp_path / "model.pt"
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        message = pool.submit(train_until_signal, data, spec, out, signal.SIGTERM, 9).result()
    assert message == "9 steps"
    assert_same_weights(out, uninterrupted.checkpoint)


@pytest.mark.timeout(180)
def test_the_command_stops_without_a_traceback_and_its_threads_wait_passively(
    tmp_path: Path, spec: TrainSpec
) -> None:
    data, out = tmp_path / "data", tmp_path / "model.pt"
    write_toy(data, [SplitSize("train", 24, 24), SplitSize("valid", 20, 6)], seed=1)
    command = [sys.executable, "-m", "tusou", "train", str(data), "--model", spec.model]
    command += ["--out", str(out), "--epochs", "100000", "--batch-size", "8", "--device", "cpu"]
    environment = {name: text for name, text in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true"}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        while not out.exists():  # the first epoch is over
            assert process.poll() is None
            sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate()
    assert process.returncode == 130
    assert printed == ""
    assert "Traceback" not in errors
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in errors
    last = errors.strip().replace("\n", " ")
    assert "interrupted: SIGINT at step" in last
    assert (tmp_path / "model.pt.state").exists()


def test_a_state_of_other_data_is_refused(spec: TrainSpec, tmp_path: Path) -> None:
    data, out = write_flickr8k(tmp_path / "data"), tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(1))
    (tmp_path / "data" / "Images" / "1.png").write_bytes(image_bytes(999, form="PNG"))
    with pytest.raises(InputError, match="a run with other data; repeat its data"):
        train(data, spec, out, device="cpu")


def test_refuses_existing_output_and_other_settings(
    data: str, spec: TrainSpec, uninterrupted: TrainReport, tmp_path: Path
) -> None:
    with pytest.raises(OutputExists, match="--force"):
        train(str(tmp_path / "missing"), spec, uninterrupted.checkpoint, device="cpu")
    out = tmp_path / "model.pt"
    with pytest.raises(KeyboardInterrupt):
        train(data, spec, out, device="cpu", progress=KillAfter(1))
    with pytest.raises(InputError, match="other settings"):
        train(data, replace(spec, epochs=4), out, device="cpu")
