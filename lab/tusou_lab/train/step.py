"""One step of a contrastive training: encode a batch, compute the loss, update the weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tusou_lab.train.batches import TrainingBatch
from tusou_lab.train.losses import BatchTargets, PairLoss
from tusou_lab.train.models import TrainableModel
from tusou_lab.train.optimiser import training_precision, update


@dataclass(frozen=True, slots=True)
class StepInputs:
    """A batch on the device of the network."""

    pixels: Tensor  # (m, side, side, 3) uint8
    tokens: Tensor  # (n, width)
    targets: BatchTargets

    @classmethod
    def move(cls, batch: TrainingBatch, device: torch.device) -> "StepInputs":
        """Return the tensors of a batch on a device."""
        arrays = (
            batch.pixels, batch.tokens, batch.correct, batch.queries, batch.images
        )  # fmt: skip
        pixels, tokens, *targets = (torch.from_numpy(array).to(device) for array in arrays)
        return cls(pixels, tokens, BatchTargets(*targets))


class TrainingStep:
    """Updates a model by the loss of a batch."""

    def __init__(
        self,
        model: TrainableModel,
        loss: PairLoss,
        trained: nn.Module,
        optimiser: Optimizer,
        precision: str,
    ) -> None:
        """Take the model, the loss, and the module whose parameters the optimiser updates."""
        self._model, self._loss = model, loss
        self._trained, self._optimiser, self._precision = trained, optimiser, precision

    def __call__(self, inputs: StepInputs) -> float:
        """Update the weights once, and return the loss before it."""
        with training_precision(inputs.pixels.device, self._precision):
            features = self._model.forward(inputs.pixels, inputs.tokens)
        loss = self._loss(features, inputs.targets)
        update(self._trained, self._optimiser, loss)
        self._model.limit_scale()
        return float(loss.detach())
