"""The loop of a training: resumed at any step, stopped by a signal, its best epoch saved."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Generic, TypeVar

import torch

from tusou import __version__
from tusou.cli.progress import Progress
from tusou.core.errors import InputError, InvalidRequest, OutputExists
from tusou.core.files import sha256_of
from tusou.core.hardware import describe_machine
from tusou.encoders.model_folder import ModelFolder
from tusou.encoders.training_record import TrainingRecord, write_record
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.files import save_torch
from tusou_lab.train.history import TrainingHistory, describe_epoch, history_path
from tusou_lab.train.monitor import NoMonitor, TrainingMonitor
from tusou_lab.train.optimiser import learning_rate, set_learning_rate
from tusou_lab.train.processes import Processes
from tusou_lab.train.stopping import StopRequest, TrainingStopped
from tusou_lab.train.task import TrainingTask

OF_THE_MACHINE = ("device", "threads")  # settings of a record that no option of a run is
_SAVE_SECONDS = 120.0

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Settings of a loop, and the inputs that must be the same when a run is resumed."""

    spec: dict[str, str | int | float]
    epochs: int
    lr: float
    seed: int
    stopping: EarlyStopping


class TrainingLoop(Generic[B]):
    """The progress of a task, restored from the state file beside the checkpoint."""

    def __init__(
        self,
        task: TrainingTask[B],
        settings: LoopSettings,
        out: Path,
        device: torch.device,
        processes: Processes = Processes(),  # noqa: B008 - a constant
        monitor: TrainingMonitor | None = None,
    ) -> None:
        self._task: TrainingTask[B] = task
        self._processes = processes
        self._settings, self._out, self._device = settings, out, device
        self._state, self._monitor = _state_path(out), monitor or NoMonitor()
        self.step, self._learning_rate = 0, 0.0
        self.history = TrainingHistory()
        self.steps = settings.epochs * len(task.batches)

    @property
    def best(self) -> float:
        """The best mean_recall so far, -1 before the first score."""
        return self.history.best()[1]

    @property
    def best_epoch(self) -> int:
        """The epoch with the best mean_recall so far; 0: the start."""
        return self.history.best()[0]

    def resume_or_start(self, *, force: bool) -> None:
        """Restore the saved state, or save the state of a new run."""
        fresh = force or not self._state.exists()
        self._processes.wait()  # until every process has looked, before one writes
        if fresh:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            self._save()
            return
        state = torch.load(self._state, map_location=self._device, weights_only=True)
        for name, value in self._identity().items():
            if state.get(name) != value:
                inputs = "settings" if name == "spec" else "data"
                raise InputError(
                    f"{self._state} belongs to a run with other {inputs}; "
                    f"repeat its {inputs}, or pass --force to start over"
                )
        self._task.model.load_state_dict(state["model"])
        self._task.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]
        self.history = TrainingHistory.restore(state["history"])

    def _identity(self) -> dict[str, object]:
        """Return the values that a state must share with the run that resumes it."""
        data = {name: record.sha256 for name, record in self._task.records.items()}
        return {"spec": self._settings.spec, "data": data}

    def _save(self) -> None:
        if not self._processes.is_first:
            return
        state = {
            **self._identity(),
            "history": self.history.state(),
            "model": self._task.model.state_dict(),
            "optimiser": self._task.optimiser.state_dict(),
            "step": self.step,
        }
        save_torch(state, self._state)

    def finish(self, progress: Progress, stop: StopRequest) -> None:
        """Train the remaining steps, write the record, and delete the state file.

        The untrained model is scored and saved first, unless the settings say otherwise: an epoch
        replaces it only by a higher mean_recall.
        """
        self._monitor.begin(0 if self.history.start is None and not self.step else self.step + 1)
        try:
            self._finish(progress, stop)
        finally:
            self._monitor.close()

    def _finish(self, progress: Progress, stop: StopRequest) -> None:
        if self._settings.stopping.keep_start and self.history.start is None:
            self._score_start(progress)
            self._stop_if_requested(stop)
        saved = monotonic()
        per_epoch = len(self._task.batches)
        progress.begin("training", self.steps, self.step)
        while not self._is_over():
            epoch, start = divmod(self.step, per_epoch)
            began = monotonic()
            for batch in self._task.batches.epoch(epoch, start):
                loss = self._train_step(batch)
                best = f"  best {self.best:.2f}" if self.best >= 0 else ""
                progress.advance(note=f"loss {loss:.3f}{best}")
                if monotonic() - saved > _SAVE_SECONDS and self.step % per_epoch:
                    self._save()
                    saved = monotonic()
                if not isfinite(loss) and not self._is_finite():
                    break
                self._stop_if_requested(stop)
            rate = (self.step - epoch * per_epoch - start) / (monotonic() - began)
            self._end_epoch(epoch + 1, rate * self._task.pairs_per_step, progress)
            self._save()
            self._stop_if_requested(stop)
        if self.best < 0:
            raise InvalidRequest(
                f"nothing was saved, since the weights became infinite or NaN at step {self.step}: "
                "repeat the command with a smaller --lr and --force"
            )
        if self._processes.is_first:
            write_record(self._out, self._record())
            self._state.unlink()

    def _is_over(self) -> bool:
        patience = self._settings.stopping.patience
        waited = len(self.history.epochs) - self.best_epoch
        return self.step == self.steps or 0 < patience <= waited or self.history.diverged

    def _is_finite(self) -> bool:
        """Return whether all weights are; if not, no later step can make them so."""
        weights = self._task.model.parameters()
        self.history.diverged = not all(bool(tensor.isfinite().all()) for tensor in weights)
        return not self.history.diverged

    def _score_start(self, progress: Progress) -> None:
        progress.begin("scoring the model before training", 0)
        self.history.start = self._task.validate()
        self._save_model(0, self.history.start)
        self._write_history()
        self._monitor.start(self.history.start)
        self._save()

    def _train_step(self, batch: B) -> float:
        # Dropout draws from a seed of its own per step, so a resumed run repeats the same draws.
        torch.manual_seed(self._settings.seed * 1_000_003 + self.step)
        self._learning_rate = learning_rate(self.step, self.steps, self._settings.lr)
        set_learning_rate(self._task.optimiser, self._learning_rate)
        loss = self._task.train_step(batch)
        self.history.losses.append(loss)
        self.step += 1
        self._monitor.step(self.step, loss, self._learning_rate)
        return loss

    def _end_epoch(self, epoch: int, pairs_per_second: float, progress: Progress) -> None:
        if self.history.diverged or not self._is_finite():
            progress.notice(
                f"warning: the weights became infinite or NaN at step {self.step}, and the "
                "training ends"
            )
            return
        percent = self._task.validate()
        record = self.history.end_epoch(
            len(self._task.batches),
            percent,
            learning_rate=self._learning_rate,
            pairs_per_second=pairs_per_second,
            temperature=self._task.temperature,
        )
        if self.best_epoch == epoch:
            self._save_model(epoch, percent)
        self._write_history()
        self._monitor.epoch(record)
        progress.notice(describe_epoch(record, self._settings.epochs, self.history.best()))

    def _save_model(self, epoch: int, percent: Mapping[str, float]) -> None:
        if self._processes.is_first:
            self._task.save(self._out, epoch, self.step, percent)

    def _write_history(self) -> None:
        if self._processes.is_first:
            self.history.write(history_path(self._out))

    def _stop_if_requested(self, stop: StopRequest) -> None:
        """Save and raise TrainingStopped, unless the epoch is unscored or the run is over."""
        unscored = self.step == len(self._task.batches) * (len(self.history.epochs) + 1)
        number = self._processes.any(stop.number or 0)  # they stop after the same step
        if not number or unscored or self._is_over():
            return
        self._save()
        requested = signal.Signals(number)
        raise TrainingStopped(
            f"{requested.name} at step {self.step} of {self.steps}; the state is saved in "
            f"{self._state}: run the same command again to go on from there",
            requested,
        )

    def _record(self) -> TrainingRecord:
        of_the_machine = (str(self._device), torch.get_num_threads())
        settings = self._settings.spec | dict(zip(OF_THE_MACHINE, of_the_machine, strict=True))
        return TrainingRecord(
            tool=f"tusou {__version__}",
            checkpoint_sha256=_digest(self._out),
            settings=settings,
            train=self._task.records["train"],
            valid=self._task.records["valid"],
            steps=self.step,
            losses=tuple(self.history.curve()),
            start=self.history.start,
            epochs=tuple(self.history.epochs),
            best_epoch=self.best_epoch,
            best_mean_recall=self.best,
            seconds=round(self.history.seconds, 3),
            machine=describe_machine(),
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
        )


def check_output(out: Path, *, force: bool) -> None:
    """Raise OutputExists if `out` exists, unless `force` is set or its run can be resumed."""
    if out.exists() and not _state_path(out).exists() and not force:
        raise OutputExists(f"{out} exists: choose another --out or pass --force")


def is_unfinished(out: Path) -> bool:
    """Return whether the state of an unfinished run exists."""
    return _state_path(out).exists()


def _state_path(out: Path) -> Path:
    return out.with_name(out.name + ".state")


def _digest(out: Path) -> str:
    return ModelFolder(out).digest if out.is_dir() else sha256_of(out)
