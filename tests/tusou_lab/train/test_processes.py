"""Two processes of torchrun train what one process does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tusou_lab.train.spec import TrainSpec

from tests.tusou_lab.train.training import TEXT, VISION, assert_same_weights
from tusou.encoders.checkpoint import read_tensors
from tusou.encoders.training_record import TrainingRecord, read_record

pytestmark = pytest.mark.services


def start(arguments: list[str], processes: int) -> subprocess.CompletedProcess[str]:
    several = [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
    ]  # fmt: skip
    command = [sys.executable, *(several if processes > 1 else []), "-m", "tusou", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


def record_of(out: Path) -> TrainingRecord:
    record = read_record(out)
    assert record is not None
    return record


@pytest.fixture
def arguments(data: str, tmp_path: Path) -> list[str]:
    """A training without dropout, which each process would draw otherwise."""
    still = {"text_attention_probs_dropout_prob": 0.0, "text_hidden_dropout_prob": 0.0}
    (tmp_path / "tiny.json").write_text(json.dumps(VISION | TEXT | still))
    return [
        "train", data, "--model", str(tmp_path / "tiny.json"), "--epochs", "2",
        "--batch-size", "9", "--lr", "1e-3", "--grad-cache", "2", "--device", "cpu",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="labels"),
        pytest.param(["--teacher", "demo", "--distil", "features"], id="a projection to a teacher"),
    ],
)
@pytest.mark.timeout(600)  # five processes load torch
def test_two_processes_have_the_losses_of_one(
    arguments: list[str], tmp_path: Path, options: list[str]
) -> None:
    records, outputs = [], []
    for processes in (1, 2):
        out = tmp_path / f"{processes}.pt"
        done = start([*arguments, *options, "--out", str(out)], processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("mean_recall") == 1  # one process reports
        records.append(record_of(out))
        outputs.append(read_tensors(out))
        assert not out.with_name(f"{processes}.pt.state").exists()
    one, two = records
    assert [loss for _, loss in two.losses] == pytest.approx(
        [loss for _, loss in one.losses], abs=1e-5
    )
    assert two.epochs[-1].percent == one.epochs[-1].percent
    for name, tensor in outputs[0].items():
        torch.testing.assert_close(outputs[1][name], tensor, rtol=1e-3, atol=2e-4)


def run_until(steps: int, data: str, model: str, out: Path) -> str:
    """Train in two processes, of which the first gets a signal after some steps."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "tests.tusou_lab.train.stopped_process", data, model, str(out), str(steps),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)  # three runs of two processes
def test_two_processes_resume_to_the_same_weights(
    data: str, spec: TrainSpec, tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole.pt", tmp_path / "stopped.pt"
    assert run_until(1000, data, spec.model, whole).count("6 steps") == 2
    assert run_until(2, data, spec.model, stopped).count("SIGTERM at step 2 of 6") == 2
    assert stopped.with_name("stopped.pt.state").exists()
    assert run_until(1000, data, spec.model, stopped).count("6 steps") == 2
    assert_same_weights(stopped, whole)
    assert record_of(stopped).losses == record_of(whole).losses
