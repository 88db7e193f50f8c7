"""The course of a training: losses, scores after each epoch, and seconds; it can be resumed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

from tusou.core.files import write_file
from tusou.encoders.training_record import EpochRecord, TrainingRecord

_MOST_POINTS = 200  # of the loss curve


@dataclass(slots=True)
class TrainingHistory:
    """The losses of all steps and the epochs so far; `seconds` counts earlier processes too."""

    start: dict[str, float] | None = None  # scores before the first step; None if not measured
    losses: list[float] = field(default_factory=list)
    epochs: list[EpochRecord] = field(default_factory=list)
    diverged: bool = False  # a weight is infinite or NaN, and the run has ended
    _seconds: float = 0.0
    _started: float = field(default_factory=monotonic)

    @property
    def seconds(self) -> float:
        """The seconds spent so far, in this process and in earlier ones."""
        return self._seconds + monotonic() - self._started

    def end_epoch(
        self,
        steps: int,
        percent: dict[str, float],
        *,
        learning_rate: float,
        pairs_per_second: float,
        temperature: float | None,
    ) -> EpochRecord:
        """Add an epoch of `steps` steps with its scores, and return it."""
        before = sum(epoch.seconds for epoch in self.epochs)
        record = EpochRecord(
            epoch=len(self.epochs) + 1,
            loss=fmean(self.losses[-steps:]),
            percent=percent,
            seconds=round(self.seconds - before, 3),
            step=len(self.losses),
            learning_rate=learning_rate,
            pairs_per_second=round(pairs_per_second, 3),
            temperature=temperature,
        )
        self.epochs.append(record)
        return record

    def best(self) -> tuple[int, float]:
        """Return the best epoch so far and its mean_recall; epoch 0 is the start.

        Of equally good epochs the last is the best, since it has trained on more pairs, but it has
        to be better than the start. Without a score, the best is -1.
        """
        return list(self._best_so_far())[-1]

    def _best_so_far(self) -> Iterator[tuple[int, float]]:
        """Yield the best epoch and its mean_recall at the start and after each epoch."""
        start = -1.0 if self.start is None else self.start["mean_recall"]
        epoch, best = 0, start
        yield epoch, best
        for record in self.epochs:
            recall = record.percent["mean_recall"]
            if recall >= best and recall > start:
                epoch, best = record.epoch, recall
            yield epoch, best

    def curve(self) -> list[tuple[int, float]]:
        """Return at most 200 points: the last step of each interval, and its mean loss."""
        return thin_out(self.losses, _MOST_POINTS)

    def write(self, path: Path) -> None:
        """Write a line of JSON for the start and for each epoch, replacing `path` in one step."""
        rows: list[dict[str, object]] = []
        best = self._best_so_far()
        epoch, recall = next(best)
        if self.start is not None:
            scores = {"best_epoch": epoch, "best_mean_recall": recall}
            rows.append({"epoch": 0, "step": 0, **self.start, **scores})
        for record, (epoch, recall) in zip(self.epochs, best, strict=True):
            row = record.model_dump(exclude={"percent"}) | record.percent
            row["loss"] = record.loss if isfinite(record.loss) else None
            rows.append(row | {"best_epoch": epoch, "best_mean_recall": recall})
        write_file(path, "".join(json.dumps(row) + "\n" for row in rows).encode())

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` reads, as plain values."""
        return {
            "start": self.start,
            "losses": self.losses,
            "epochs": [epoch.model_dump() for epoch in self.epochs],
            "diverged": self.diverged,
            "seconds": self.seconds,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "TrainingHistory":
        """Return the history of a run that is resumed."""
        epochs = [EpochRecord.model_validate(epoch) for epoch in state["epochs"]]
        losses, seconds = list(state["losses"]), state["seconds"]
        return cls(state["start"], losses, epochs, state["diverged"], seconds)

    @classmethod
    def of_record(cls, record: TrainingRecord) -> "TrainingHistory":
        """Return the history of a finished run; each loss is the mean of its interval."""
        losses: list[float] = []
        for end, loss in record.losses:
            losses += [loss] * (end - len(losses))
        # Only such a run ends within an epoch, or after one without scores.
        scored = record.epochs[-1].step if record.epochs else 0
        diverged = scored is not None and scored != record.steps
        return cls(record.start, losses, list(record.epochs), diverged, record.seconds)


def history_path(out: Path) -> Path:
    """Return the path of the file next to the output that has one line per epoch."""
    return out.with_name(f"{out.name}.history.jsonl")


def describe_epoch(record: EpochRecord, epochs: int, best: tuple[int, float]) -> str:
    """Return the line that is printed for an epoch."""
    epoch, recall = best
    parts = [
        f"epoch {record.epoch}/{epochs}",
        f"loss {record.loss:.4f}",
        f"mean_recall {record.percent['mean_recall']:.2f}",
        f"{record.pairs_per_second:.1f} pairs/s",
        f"lr {record.learning_rate:.2e}",
    ]
    if record.temperature is not None:
        parts.append(f"temperature {record.temperature:.4f}")
    parts.append(f"best {recall:.2f} ({f'epoch {epoch}' if epoch else 'start'})")
    return "  ".join(parts)


def thin_out(values: Sequence[float], most: int) -> list[tuple[int, float]]:
    """Return the end and the mean of each of at most `most` intervals of equal length."""
    length = -(-len(values) // most) or 1
    starts = range(0, len(values), length)
    return [
        (min(start + length, len(values)), round(fmean(values[start : start + length]), 6))
        for start in starts
    ]
