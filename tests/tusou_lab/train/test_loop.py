"""The loop of a training: which epoch is kept, and when a run ends before its last one."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.loop import LoopSettings, TrainingLoop
from tusou_lab.train.stopping import StopRequest

from tusou.cli.progress import NoProgress
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

    def __init__(self, scores: list[float]) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.optimiser = torch.optim.SGD(self.model.parameters())
        self.batches = TwoSteps()
        self.records = {"train": RECORD, "valid": RECORD}
        self._scores = iter(scores)

    def train_step(self, batch: float) -> float:
        loss = (self.model(torch.tensor([batch])) - 1).square().sum()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
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
    assert out.read_text() == kept
    assert not out.with_name("line.pt.state").exists()


def test_without_patience_every_epoch_runs(tmp_path: Path) -> None:
    task = LineTask([9, 8, 7, 6, 5])
    settings = LoopSettings({}, 5, 0.1, 0, EarlyStopping(keep_start=False))
    loop = TrainingLoop(task, settings, tmp_path / "x", torch.device("cpu"))
    loop.resume_or_start(force=False)
    loop.finish(NoProgress(), StopRequest())
    assert (len(loop.history.epochs), loop.best_epoch) == (5, 1)
