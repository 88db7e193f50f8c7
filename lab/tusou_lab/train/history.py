"""The course of a training: losses, scores after each epoch, and seconds; it can be resumed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from time import monotonic
from typing import Any

from tusou.encoders.training_record import EpochRecord

_MOST_POINTS = 200  # of the loss curve


@dataclass(slots=True)
class TrainingHistory:
    """The losses of all steps and the epochs so far; `seconds` counts earlier processes too."""

    start: dict[str, float] | None = None  # scores before the first step; None if not measured
    losses: list[float] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)
    _seconds: float = 0.0
    _started: float = field(default_factory=monotonic)

    @property
    def seconds(self) -> float:
        """The seconds spent so far, in this process and in earlier ones."""
        return self._seconds + monotonic() - self._started

    def end_epoch(self, steps: int, percent: dict[str, float]) -> None:
        """Add an epoch of `steps` steps with its scores."""
        before = sum(epoch.seconds for epoch in self.epochs)
        self.epochs.append(
            EpochRecord(
                epoch=len(self.epochs) + 1,
                loss=fmean(self.losses[-steps:]),
                percent=percent,
                seconds=round(self.seconds - before, 3),
            )
        )

    def curve(self) -> list[tuple[int, float]]:
        """Return at most 200 points: the last step of each interval, and its mean loss."""
        return thin_out(self.losses, _MOST_POINTS)

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` reads, as plain values."""
        epochs = [epoch.model_dump() for epoch in self.epochs]
        return {
            "start": self.start,
            "losses": self.losses,
            "epochs": epochs,
            "seconds": self.seconds,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "TrainingHistory":
        """Return the history of a run that is resumed."""
        epochs = [EpochRecord.model_validate(epoch) for epoch in state["epochs"]]
        return cls(state["start"], list(state["losses"]), epochs, state["seconds"])


def thin_out(values: Sequence[float], most: int) -> list[tuple[int, float]]:
    """Return the means of at most `most` intervals of equal length, each with its end."""
    length = -(-len(values) // most) or 1
    starts = range(0, len(values), length)
    return [
        (min(start + length, len(values)), round(fmean(values[start : start + length]), 6))
        for start in starts
    ]
