"""The loop of a training: which epoch is kept, and when a run ends before its last one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.history import TrainingHistory
from tusou_lab.train.loop import LoopSettings, TrainingLoop
from tusou_lab.train.stopping import StopRequest

from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest
from tusou.encoders.training_record import SplitRecord, read_record

RECORD = SplitRecord(source="x#train", images=3, queries=2, sha256="")


class TwoSteps:
    """Epochs of two steps."""

    def __len__(self) -> int:
        return 2

    def epoch(self, number: int, start: int = 0) -> Iterator[float]:
        return iter([1.0, 3.0][start:])


class LineTask:
    """Fits a line by gradient descent; its scores on valid are given."""

    def __init__(self, scores: list[float], nan_at: int = -1) -> None:
        self._nan_at = nan_at
        self.model = torch.nn.Linear(1, 1)
        self.optimiser = torch.optim.SGD(self.model.parameters())
        self.batches, self.pairs_per_step, self.temperature = TwoSteps(), 4, 0.07
        self.records = {"train": RECORD, "valid": RECORD}
        self._scores = iter(scores)

    def train_step(self, batch: float) -> float:
        loss = (self.model(torch.tensor([batch])) - 1).square().sum()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self._nan_at -= 1
        if not self._nan_at:
            with torch.no_grad():
                self.model.weight.fill_(torch.nan)
        return loss.item()

    def validate(self) -> dict[str, float]:
        return {"mean_recall": next(self._scores)}

    def save(self, path: Path, epoch: int, step: int, percent: Mapping[str, float]) -> None:
        path.write_text(f"{epoch} {step} {percent['mean_recall']}")


@pytest.mark.parametrize(
    ("scores", "epochs", "kept"),
    [
        pytest.param([9, 50, 60, 60, 55, 54, 53, 99], 6, "3 6 60", id="three without a better one"),
        pytest.param([9, 50, 49, 48, 51, 50, 49, 52], 7, "7 14 52", id="the last is the best"),
        pytest.param([9, 50, 49, 48, 47, 99, 99, 99], 4, "1 2 50", id="the first is the best"),
        pytest.param([50, 49, 48, 47, 99, 99, 99, 99], 3, "0 0 50", id="none is better"),
        pytest.param([50, 50, 50, 50, 50, 50, 50, 50], 3, "0 0 50", id="all are as good"),
    ],
)
def test_a_run_ends_when_the_score_does_not_rise(
    scores: list[float], epochs: int, kept: str, tmp_path: Path
) -> None:
    out = tmp_path / "line.pt"
    loop = TrainingLoop(
        LineTask(scores),
        LoopSettings({"lr": 0.1}, 7, 0.1, 0, EarlyStopping(3)),
        out,
        torch.device("cpu"),
    )
    loop.resume_or_start(force=False)
    loop.finish(NoProgress(), StopRequest())
    record = read_record(out)
    assert record is not None
    assert (len(record.epochs), record.steps) == (epochs, 2 * epochs)
    assert record.start == {"mean_recall": scores[0]}
    assert not TrainingHistory.of_record(record).diverged
    assert out.read_text() == kept
    assert not out.with_name("line.pt.state").exists()


def test_without_patience_every_epoch_runs(tmp_path: Path) -> None:
    task = LineTask([9, 8, 7, 6, 5])
    settings = LoopSettings({}, 5, 0.1, 0, EarlyStopping(keep_start=False))
    loop = TrainingLoop(task, settings, tmp_path / "x", torch.device("cpu"))
    loop.resume_or_start(force=False)
    loop.finish(NoProgress(), StopRequest())
    assert (len(loop.history.epochs), loop.best_epoch) == (5, 1)


class Notices(NoProgress):
    """Keeps the messages to the user."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def notice(self, message: str) -> None:
        self.messages.append(message)


def test_each_epoch_is_a_line_on_the_screen_and_in_a_file(tmp_path: Path) -> None:
    out, notices = tmp_path / "line.pt", Notices()
    loop = TrainingLoop(
        LineTask([5, 7, 6]), LoopSettings({}, 2, 0.1, 0, EarlyStopping()), out, torch.device("cpu")
    )
    loop.resume_or_start(force=False)
    loop.finish(notices, StopRequest())
    first, second = notices.messages
    assert first.startswith("epoch 1/2  loss ")
    assert "  mean_recall 7.00  " in first
    assert first.endswith("  temperature 0.0700  best 7.00 (epoch 1)")
    assert second.endswith("best 7.00 (epoch 1)")
    lines = out.with_name("line.pt.history.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["epoch"], row["step"]) for row in rows] == [(0, 0), (1, 2), (2, 4)]
    assert [row["mean_recall"] for row in rows] == [5, 7, 6]
    assert [(row["best_epoch"], row["best_mean_recall"]) for row in rows] == [
        (0, 5),
        (1, 7),
        (1, 7),
    ]
    assert rows[1]["loss"] == pytest.approx(loop.history.epochs[0].loss)
    assert rows[2]["temperature"] == 0.07
    assert rows[1]["learning_rate"] > rows[2]["learning_rate"] > 0
    assert rows[1]["pairs_per_second"] > 0


@pytest.mark.parametrize(
    ("nan_at", "steps", "kept", "epochs"),
    [
        pytest.param(2, 2, "0 0 5", 0, id="at the end of the first epoch"),
        pytest.param(3, 4, "1 2 7", 1, id="in the second epoch, whose next loss shows it"),
    ],
)
def test_weights_that_are_not_finite_end_the_run_and_are_never_kept(
    nan_at: int, steps: int, kept: str, epochs: int, tmp_path: Path
) -> None:
    out, notices = tmp_path / "line.pt", Notices()
    task = LineTask([5, 7, 99, 99, 99], nan_at)
    settings = LoopSettings({}, 4, 0.1, 0, EarlyStopping())
    loop = TrainingLoop(task, settings, out, torch.device("cpu"))
    loop.resume_or_start(force=False)
    loop.finish(notices, StopRequest())
    assert (loop.step, out.read_text(), len(loop.history.epochs)) == (steps, kept, epochs)
    assert f"infinite or NaN at step {steps}" in notices.messages[-1]
    record = read_record(out)
    assert record is not None
    assert len(record.losses) == steps
    assert loop.history.diverged
    assert TrainingHistory.of_record(record).diverged


def test_a_run_that_has_nothing_to_keep_is_an_error(tmp_path: Path) -> None:
    task = LineTask([], nan_at=1)
    settings = LoopSettings({}, 4, 0.1, 0, EarlyStopping(keep_start=False))
    loop = TrainingLoop(task, settings, tmp_path / "x", torch.device("cpu"))
    loop.resume_or_start(force=False)
    with pytest.raises(InvalidRequest, match="smaller --lr and --force"):
        loop.finish(NoProgress(), StopRequest())
