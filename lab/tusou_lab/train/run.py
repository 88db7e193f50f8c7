"""Contrastive training of a model on the pairs of a dataset."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import InvalidRequest
from tusou.encoders.devices import pick_device
from tusou_lab.train.batches import BatchSampler, TrainingBatch
from tusou_lab.train.data import SplitEncoder, check_splits, load_splits
from tusou_lab.train.files import check_kind
from tusou_lab.train.loop import LoopSettings, TrainingLoop, check_output
from tusou_lab.train.lora import LoraSettings
from tusou_lab.train.loss import pair_loss
from tusou_lab.train.models import ARCHITECTURE, open_trainable
from tusou_lab.train.optimiser import make_optimiser, training_precision, update
from tusou_lab.train.stopping import stop_request
from tusou_lab.train.trained import TrainedShare
from tusou_lab.train.validate import validate


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
    freeze: str = "none"  # the tower that stays as it is: vision, text or none
    lora: int = 0  # the rank of adapters that are trained in place of the weights; 0: none
    lora_alpha: float = 0.0  # the adapters are scaled by alpha / rank
    lora_target: str = "attention"  # the layers that get one: attention, or all

    @property
    def lora_settings(self) -> LoraSettings | None:
        """The settings of the adapters, None without."""
        if not self.lora:
            return None
        return LoraSettings(self.lora, self.lora_alpha, self.lora_target)


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
    OutputExists when `out` exists or is of another kind than the model, InvalidRequest for adapters
    of random weights, InputError when the state of a run with other settings or other data exists,
    and BadDataset for data it cannot train on.
    """
    progress = progress or NoProgress()
    check_output(out, force=force)
    if spec.lora and spec.model.endswith(ARCHITECTURE):
        raise InvalidRequest(
            f"{spec.model} is an architecture with random weights, which adapters alone would "
            "leave random: leave out --lora, or give a trained model"
        )
    target = torch.device(pick_device(device))
    task = _ContrastiveTask(spec, out, data, valid, target, progress)
    settings = LoopSettings(asdict(spec) | task.settings, spec.epochs, spec.lr, spec.seed)
    loop = TrainingLoop(task, settings, out, target)
    loop.resume_or_start(force=force)
    with stop_request() as stop:
        loop.finish(progress, stop)
    return TrainReport(out, loop.best_epoch, loop.best, loop.step, loop.history.seconds, task.note)


class _ContrastiveTask:
    """The model, its optimiser and its two splits."""

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
        self._spec, self._device = spec, device
        self._model = open_trainable(spec.model)
        traits = self._model.traits
        check_kind(out, traits.saved_as)
        self._share = TrainedShare(self._model, spec.freeze, spec.lora_settings)
        self._model.network.to(device)
        self.model = self._share.module.to(device)
        self.settings = {
            "model_sha256": traits.digest,
            "loss": traits.loss,
            "trained_parameters": self._share.parameter_count,
        }
        self.optimiser = make_optimiser(
            self.model, spec.lr, spec.weight_decay, transformer=traits.has_vit
        )
        encoder = SplitEncoder(traits.transform, self._model.tokenize)
        train_split, self._valid = load_splits(
            data, valid, encoder, out.parent / ".pixels", progress
        )
        self.records = {"train": train_split.record, "valid": self._valid.record}
        self.note = check_splits(train_split, self._valid)
        self.batches = BatchSampler(train_split, spec.batch_size, spec.seed)

    def validate(self) -> dict[str, float]:
        with self._share.merged():
            return validate(self._model, self._valid, self._device)

    def save(self, path: Path, epoch: int, step: int, _: Mapping[str, float]) -> None:
        with self._share.merged():
            self._model.save(path, epoch, step)

    def train_step(self, batch: TrainingBatch) -> float:
        self._share.set_training_mode()
        pixels = torch.from_numpy(batch.pixels).to(self._device)
        tokens = torch.from_numpy(batch.tokens).to(self._device)
        correct = torch.from_numpy(batch.correct).to(self._device)
        with training_precision(self._device, self._spec.precision):
            features = self._model.forward(pixels, tokens)
        loss = pair_loss(features, correct, self._model.traits.loss)
        update(self.model, self.optimiser, loss)
        self._model.limit_scale()
        return float(loss.detach())
