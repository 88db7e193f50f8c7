"""One training run: resumable at any step, the best checkpoint on valid kept."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from cn_clip.clip.model import CLIP
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tusou.cli.progress import NoProgress, Progress
from tusou.core.errors import InputError, OutputExists
from tusou.encoders.devices import pick_device
from tusou.encoders.torch.encoder import to_input
from tusou_lab.train.batches import Batch, Batches
from tusou_lab.train.data import open_split
from tusou_lab.train.files import save_torch
from tusou_lab.train.loss import contrastive_loss
from tusou_lab.train.model import image_size, is_transformer, open_model, save_checkpoint
from tusou_lab.train.optimiser import learning_rate, make_optimiser
from tusou_lab.train.validate import mean_recall

_SAVE_SECONDS = 120.0
_MAX_GRADIENT = 1.0
_MAX_LOG_SCALE = float(np.log(100))  # cn_clip clamps the learned scale so


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """What decides the result of a run."""

    model: str
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int
    precision: str  # fp32, or bf16 for the towers' products


@dataclass(frozen=True, slots=True)
class TrainReport:
    """How a run ended."""

    checkpoint: Path
    best_epoch: int
    best_mean_recall: float  # on valid, percent
    steps: int
    seconds: float  # of this process alone


def train(
    data: Path,
    spec: TrainSpec,
    out: Path,
    *,
    device: str = "auto",
    force: bool = False,
    watcher: Progress | None = None,
) -> TrainReport:
    """Train on a MUGE folder's train split and keep the checkpoint that is best on valid.

    Run again after a kill with the same arguments, it goes on where the last saved state was and
    reaches the same weights. Raises OutputExists when `out` is in the way, and InputError when the
    state of a run with other settings is.
    """
    started = monotonic()
    watcher = watcher or NoProgress()
    if out.exists() and not _state_of(out).exists() and not force:
        raise OutputExists(f"{out} exists: choose another --out or pass --force")
    run = _Run(data, spec, out, torch.device(pick_device(device)), watcher)
    run.resume_or_begin(force=force)
    run.go_on(watcher)
    return TrainReport(out, run.best_epoch, run.best, run.step, monotonic() - started)


class _Run:
    """A model, its optimiser and how far they are; `state` on disk is enough to go on."""

    def __init__(
        self, data: Path, spec: TrainSpec, out: Path, device: torch.device, watcher: Progress
    ) -> None:
        torch.manual_seed(spec.seed)
        self._spec, self._out, self._device = spec, out, device
        self._state = _state_of(out)
        self._model: CLIP = open_model(spec.model).to(device)
        size = image_size(self._model)
        cache = out.parent / ".pixels"
        self._batches = Batches(
            open_split(data, "train", size, cache, watcher), spec.batch_size, spec.seed
        )
        self._valid = open_split(data, "valid", size, cache, watcher)
        self.steps = spec.epochs * len(self._batches)
        self._optimiser = make_optimiser(
            self._model, spec.lr, spec.weight_decay, transformer=is_transformer(self._model)
        )
        self.step, self.best, self.best_epoch = 0, -1.0, 0

    def resume_or_begin(self, *, force: bool) -> None:
        """Take up the saved state, or save that of a new run."""
        if self._state.exists() and not force:
            self._restore(torch.load(self._state, map_location=self._device, weights_only=True))
            return
        self._out.parent.mkdir(parents=True, exist_ok=True)
        self._save()

    def _restore(self, state: Mapping[str, Any]) -> None:
        if state["spec"] != asdict(self._spec):
            raise InputError(
                f"{self._state} belongs to a run with other settings; repeat those, or pass --force"
            )
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.best, self.best_epoch = state["step"], state["best"], state["best_epoch"]

    def _save(self) -> None:
        state = {
            "spec": asdict(self._spec),
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "best_epoch": self.best_epoch,
        }
        save_torch(state, self._state)

    def go_on(self, watcher: Progress) -> None:
        """Train to the end; afterwards the state is gone and the best checkpoint stays."""
        saved = monotonic()
        watcher.begin("training", self.steps, self.step)
        while self.step < self.steps:
            epoch, start = divmod(self.step, len(self._batches))
            for batch in self._batches.epoch(epoch, start):
                loss = self._learn(batch)
                self.step += 1
                best = f"  best {self.best:.2f}" if self.best_epoch else ""
                watcher.advance(note=f"loss {loss:.3f}{best}")
                if monotonic() - saved > _SAVE_SECONDS and self.step % len(self._batches):
                    self._save()
                    saved = monotonic()
            self._validate(epoch + 1)
            self._save()
        self._state.unlink()

    def _learn(self, batch: Batch) -> float:
        spec = self._spec
        # Dropout draws from the step's own seed, so a resumed run draws the same.
        torch.manual_seed(spec.seed * 1_000_003 + self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.steps, spec.lr)
        self._model.train()
        loss = self._loss(batch)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), _MAX_GRADIENT)
        self._optimiser.step()
        with torch.no_grad():
            self._model.logit_scale.clamp_(0, _MAX_LOG_SCALE)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Tensor:
        images = to_input(torch.from_numpy(batch.pixels).to(self._device))
        tokens = torch.from_numpy(batch.tokens).to(self._device)
        correct = torch.from_numpy(batch.correct).to(self._device)
        with (
            _attention(self._device),
            torch.autocast(
                self._device.type, torch.bfloat16, enabled=self._spec.precision == "bf16"
            ),
        ):
            image_features, text_features, scale = self._model(images, tokens)
        return contrastive_loss(image_features.float(), text_features.float(), scale, correct)

    def _validate(self, epoch: int) -> None:
        reached = mean_recall(self._model, self._valid, self._device)
        if reached >= self.best:  # of equals the later, which has seen more
            self.best, self.best_epoch = reached, epoch
            save_checkpoint(self._model, self._out, self._out.stem, epoch, self.step)


def _state_of(out: Path) -> Path:
    return out.with_name(out.name + ".state")


def _attention(device: torch.device) -> AbstractContextManager[object]:
    # On a CPU the backward pass of fused attention takes longer than the plain products.
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
