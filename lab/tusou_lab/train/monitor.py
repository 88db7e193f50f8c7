"""Files for TensorBoard, written while a training runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tusou.core.errors import MissingDependency
from tusou.encoders.training_record import EpochRecord


class TrainingMonitor(Protocol):
    """Follows a training as it runs."""

    def begin(self, first: int) -> None:
        """Follow a run whose next step is `first`; what was written from there on is void.

        Scores before the training are those of step 0.
        """
        ...

    def start(self, percent: Mapping[str, float]) -> None:
        """Take the scores on valid before the first step."""
        ...

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """Take a step, counted from 1."""
        ...

    def epoch(self, record: EpochRecord) -> None:
        """Take a finished epoch."""
        ...

    def close(self) -> None:
        """Write everything to disk."""
        ...


class NoMonitor:
    """Writes nothing."""

    def begin(self, first: int) -> None: ...

    def start(self, percent: Mapping[str, float]) -> None: ...

    def step(self, step: int, loss: float, learning_rate: float) -> None: ...

    def epoch(self, record: EpochRecord) -> None: ...

    def close(self) -> None: ...


class TensorBoardMonitor:
    """Writes losses and rates of each step, and scores of each epoch, for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        """Take the folder to write to; MissingDependency without the package tensorboard."""
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional
        except ImportError:
            raise MissingDependency(
                "--tensorboard needs the package tensorboard: install tusou[tensorboard]"
            ) from None
        self._folder, self._make = folder, SummaryWriter
        self._writer: Any = None

    def begin(self, first: int) -> None:
        # A resumed run repeats steps that the killed one had written already.
        self._writer = self._make(str(self._folder), purge_step=first)

    def start(self, percent: Mapping[str, float]) -> None:
        self._add_scores(percent, 0)

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        self._writer.add_scalar("train/loss", loss, step)
        self._writer.add_scalar("train/learning_rate", learning_rate, step)

    def epoch(self, record: EpochRecord) -> None:
        self._add_scores(record.percent, record.step or 0)
        for name in ("pairs_per_second", "temperature"):
            if (value := getattr(record, name)) is not None:
                self._writer.add_scalar(f"train/{name}", value, record.step)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _add_scores(self, percent: Mapping[str, float], step: int) -> None:
        for name, value in percent.items():
            self._writer.add_scalar(f"valid/{name.replace('@', '_at_')}", value, step)


def open_monitor(folder: Path | None) -> TrainingMonitor:
    """Return a monitor that writes to a folder, or one that does nothing; MissingDependency."""
    return NoMonitor() if folder is None else TensorBoardMonitor(folder)
