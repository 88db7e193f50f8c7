"""One step of a contrastive training: encode a batch, compute the loss, update the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from tusou.core.errors import InvalidRequest
from tusou_lab.train.batches import TrainingBatch
from tusou_lab.train.losses import BatchTargets, PairLoss
from tusou_lab.train.models import Features, TrainableModel
from tusou_lab.train.optimiser import training_precision
from tusou_lab.train.processes import Processes
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.tower_pass import TowerPass
from tusou_lab.train.updater import Updater


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
    """Updates a model by the loss over batches, of which each process encodes its rows."""

    def __init__(
        self,
        model: TrainableModel,
        loss: PairLoss,
        updater: Updater,
        spec: StepSpec,
        precision: str,
        processes: Processes,
    ) -> None:
        """Take `fp32`, `bf16` or `fp16` as precision; InvalidRequest for a model without a way."""
        self._model, self._loss, self._updater = model, loss, updater
        self._chunk, self._precision, self._processes = spec.grad_cache, precision, processes
        self._encode_images = model.encode_images
        if spec.mask_patches:
            self._encode_images = partial(model.encode_images, mask=spec.mask_patches)
        if spec.grad_cache or processes.count > 1:
            _refuse_batch_statistics(model.network)

    def __call__(self, batches: Sequence[StepInputs]) -> float:
        """Update the weights once by the mean loss of the batches, and return it."""
        if self._processes.rank:  # other dropout than in the first process
            torch.manual_seed(torch.initial_seed() + 7919 * self._processes.rank)
        self._updater.begin()
        losses = [self._add_gradients(inputs, 1 / len(batches)) for inputs in batches]
        self._updater.finish()
        self._model.limit_scale()
        return sum(losses) / len(losses)

    def _add_gradients(self, inputs: StepInputs, share: float) -> float:
        precision = partial(training_precision, inputs.pixels.device, self._precision)
        if len(inputs.tokens) < self._processes.count:
            raise InvalidRequest(
                f"a batch of {len(inputs.tokens)} pairs is too small for {self._processes.count} "
                "processes: each encodes a part of it"
            )
        rows = [self._processes.own_rows(len(part)) for part in (inputs.pixels, inputs.tokens)]
        images = TowerPass(self._encode_images, inputs.pixels[rows[0]], self._chunk, precision)
        texts = TowerPass(self._model.encode_texts, inputs.tokens[rows[1]], self._chunk, precision)
        leaves = [
            self._processes.gather(tower.vectors, len(part)).requires_grad_()
            for tower, part in ((images, inputs.pixels), (texts, inputs.tokens))
        ]
        scale, bias = self._model.scale_and_bias()
        loss = self._loss(Features(leaves[0], leaves[1], scale, bias), inputs.targets)
        self._updater.backward(share * loss)
        for tower, leaf, own in zip((images, texts), leaves, rows, strict=True):
            if leaf.grad is not None:
                # Gradients are averaged over processes, and no other one has those of its rows.
                tower.backward(self._processes.count * leaf.grad[own])
        return float(loss.detach())


def _refuse_batch_statistics(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and any(  # noqa: SLF001
            p.requires_grad for p in module.parameters()
        ):
            raise InvalidRequest(
                f"{name} takes statistics over the batch (a ResNet): it cannot be encoded in parts "
                "by --grad-cache or several processes; freeze the tower, or train a ViT"
            )
