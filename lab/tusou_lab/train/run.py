"""A training run that can be resumed at any step and saves its best checkpoint."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from cn_clip.clip.model import CLIP
from torch.nn.attention import SDPBackend, sdpa_kernel

from tusou import __version__
from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import BadDataset, InputError, OutputExists
from tusou.core.files import sha256_of
from tusou.core.hardware import describe_machine
from tusou.data import Dataset, open_dataset
from tusou.encoders.devices import pick_device
from tusou.encoders.torch.encoder import to_input
from tusou.encoders.training_record import TrainingRecord, write_record
from tusou_lab.train.batches import BatchSampler, TrainingBatch
from tusou_lab.train.data import check_splits, load_split
from tusou_lab.train.history import TrainingHistory
from tusou_lab.train.loss import contrastive_loss
from tusou_lab.train.model import (
    image_size,
    is_transformer,
    open_model,
    save_checkpoint,
    save_torch,
)
from tusou_lab.train.optimiser import learning_rate, make_optimiser
from tusou_lab.train.stopping import StopRequest, TrainingStopped, stop_request
from tusou_lab.train.validate import validate

_SAVE_SECONDS = 120.0
_MAX_GRADIENT = 1.0
_MAX_LOG_SCALE = float(np.log(100))  # cn_clip's limit for the learned scale


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """The settings that determine the result of a run."""

    model: str
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int
    precision: str  # fp32, or bf16 for matrix products in the towers


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a finished run."""

    checkpoint: Path
    best_epoch: int
    best_mean_recall: float  # on valid, percent
    steps: int
    seconds: float  # of all processes, if the run was resumed
    note: str = ""  # a limit on what the figure means


def train(
    data: str,
    spec: TrainSpec,
    out: Path,
    *,
    valid: str | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train on a dataset and save the checkpoint with the best mean_recall on a valid split.

    `data` is a dataset in any format, and its split `train` is used unless it names another
    (`DATA#SPLIT`). `valid` names the data to validate on; without it, the split `valid`, `dev` or
    `val` of the same dataset.

    Called again with the same arguments after a kill, it resumes from the last saved state and
    ends with the same weights. SIGINT and SIGTERM end the current step, save the state and raise
    TrainingStopped. Settings, data, losses and scores are kept in the checkpoint's record. Raises
    OutputExists when `out` exists, InputError when the state of a run with other settings or
    other data exists, and BadDataset for data it cannot train on.
    """
    progress = progress or NoProgress()
    if out.exists() and not _state_path(out).exists() and not force:
        raise OutputExists(f"{out} exists: choose another --out or pass --force")
    run = _TrainingRun(spec, out, data, valid, torch.device(pick_device(device)), progress)
    run.resume_or_start(force=force)
    with stop_request() as stop:
        run.finish(progress, stop)
    seconds = run.history.seconds
    return TrainReport(out, run.best_epoch, run.best, run.step, seconds, run.note)


class _TrainingRun:
    """The model, its optimiser and their progress, all restored from the state file."""

    def __init__(
        self,
        spec: TrainSpec,
        out: Path,
        data: str,
        valid: str | None,
        device: torch.device,
        progress: Progress,
    ) -> None:
        torch.manual_seed(spec.seed)
        self._spec, self._out, self._device = spec, out, device
        self._state = _state_path(out)
        self._model: CLIP = open_model(spec.model).to(device)
        self._optimiser = make_optimiser(
            self._model, spec.lr, spec.weight_decay, transformer=is_transformer(self._model)
        )
        self.step, self.best, self.best_epoch = 0, -1.0, 0
        dataset = open_dataset(data)
        valid_dataset = dataset if valid is None else open_dataset(valid)
        train_name = _find_split(dataset, dataset.only or "train")
        valid_name = _find_split(valid_dataset, "valid") if valid is None else valid_dataset.split()
        size, cache = image_size(self._model), out.parent / ".pixels"
        # The smaller split first, so that a problem in it shows before the long decoding.
        self._valid = load_split(valid_dataset, valid_name, size, cache, progress)
        train_split = load_split(dataset, train_name, size, cache, progress)
        self._records = {"train": train_split.record, "valid": self._valid.record}
        self.note = check_splits(train_split, self._valid)
        self.history = TrainingHistory()
        self._batches = BatchSampler(train_split, spec.batch_size, spec.seed)
        self.steps = spec.epochs * len(self._batches)

    def resume_or_start(self, *, force: bool) -> None:
        """Restore the saved state, or save the state of a new run."""
        if force or not self._state.exists():
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
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self.best_epoch = state["step"], state["best"], state["best_epoch"]
        self.history = TrainingHistory.restore(state["history"])

    def _identity(self) -> dict[str, object]:
        """Return the values that a state must share with the run that resumes it."""
        data = {name: record.sha256 for name, record in self._records.items()}
        return {"spec": asdict(self._spec), "data": data}

    def _save(self) -> None:
        state = {
            **self._identity(),
            "history": self.history.state(),
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "best_epoch": self.best_epoch,
        }
        save_torch(state, self._state)

    def finish(self, progress: Progress, stop: StopRequest) -> None:
        """Train the remaining steps, write the record, and delete the state file."""
        saved = monotonic()
        progress.begin("training", self.steps, self.step)
        while self.step < self.steps:
            epoch, start = divmod(self.step, len(self._batches))
            for batch in self._batches.epoch(epoch, start):
                loss = self._train_step(batch)
                self.history.losses.append(loss)
                self.step += 1
                best = f"  best {self.best:.2f}" if self.best_epoch else ""
                progress.advance(note=f"loss {loss:.3f}{best}")
                if monotonic() - saved > _SAVE_SECONDS and self.step % len(self._batches):
                    self._save()
                    saved = monotonic()
                self._stop_if_requested(stop)
            self._end_epoch(epoch + 1)
            self._save()
            self._stop_if_requested(stop)
        write_record(self._out, self._record())
        self._state.unlink()

    def _end_epoch(self, epoch: int) -> None:
        percent = validate(self._model, self._valid, self._device)
        self.history.end_epoch(len(self._batches), percent)
        recall = percent["mean_recall"]
        if recall >= self.best:  # on a tie the later epoch wins: it has trained on more pairs
            self.best, self.best_epoch = recall, epoch
            save_checkpoint(self._model, self._out, self._out.stem, epoch, self.step)

    def _stop_if_requested(self, stop: StopRequest) -> None:
        """Save and raise TrainingStopped, unless the epoch is unscored or the run is over."""
        unscored = self.step == len(self._batches) * (len(self.history.epochs) + 1)
        if stop.number is None or unscored or self.step == self.steps:
            return
        self._save()
        raise TrainingStopped(
            f"{stop.number.name} at step {self.step} of {self.steps}; the state is saved in "
            f"{self._state}: run the same command again to go on from there",
            stop.number,
        )

    def _record(self) -> TrainingRecord:
        settings = asdict(self._spec) | {"device": str(self._device)}
        return TrainingRecord(
            tool=f"tusou {__version__}",
            checkpoint_sha256=sha256_of(self._out),
            settings=settings | {"threads": torch.get_num_threads()},
            train=self._records["train"],
            valid=self._records["valid"],
            steps=self.steps,
            losses=tuple(self.history.curve()),
            epochs=tuple(self.history.epochs),
            best_epoch=self.best_epoch,
            best_mean_recall=self.best,
            seconds=round(self.history.seconds, 3),
            machine=describe_machine(),
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
        )

    def _train_step(self, batch: TrainingBatch) -> float:
        spec = self._spec
        # Dropout draws from a seed of its own per step, so a resumed run repeats the same draws.
        torch.manual_seed(spec.seed * 1_000_003 + self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.steps, spec.lr)
        self._model.train()
        images = to_input(torch.from_numpy(batch.pixels).to(self._device))
        tokens = torch.from_numpy(batch.tokens).to(self._device)
        correct = torch.from_numpy(batch.correct).to(self._device)
        # On a CPU the backward pass of fused attention is slower than plain matrix products.
        kernel = sdpa_kernel(SDPBackend.MATH) if self._device.type == "cpu" else nullcontext()
        bf16 = torch.autocast(self._device.type, torch.bfloat16, enabled=spec.precision == "bf16")
        with kernel, bf16:
            image_features, text_features, scale = self._model(images, tokens)
        loss = contrastive_loss(image_features.float(), text_features.float(), scale, correct)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), _MAX_GRADIENT)
        self._optimiser.step()
        with torch.no_grad():
            self._model.logit_scale.clamp_(0, _MAX_LOG_SCALE)
        return float(loss.detach())


def _find_split(dataset: Dataset, name: str) -> str:
    """Return the reader's name of a split; BadDataset says how to make it."""
    try:
        return dataset.split(name)
    except BadDataset as error:
        source = f"{dataset.path}#{dataset.reader.splits()[0]}"
        advice = f"or make splits with `tusou split {source} --out FOLDER`"
        raise BadDataset(f"{error}, {advice}") from None


def _state_path(out: Path) -> Path:
    return out.with_name(out.name + ".state")
