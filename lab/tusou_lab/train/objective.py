"""The loss and the hard negatives of a run, and their part of the run's state."""

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from tusou_lab.train.batches import BatchSampler, TrainingBatch
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.distillation import DistilledLoss
from tusou_lab.train.hard_negatives import HardNegatives, NegativeMiner
from tusou_lab.train.identities import PairIdentities
from tusou_lab.train.losses import ArcFaceLoss, BatchTargets, PairLoss, make_loss
from tusou_lab.train.models import TrainableModel
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.split_vectors import encode_images, encode_texts
from tusou_lab.train.teacher import TeacherVectors

_FITTED = 10_000  # images, and texts, that a projection into a teacher's space is fitted to


class Objective:
    """Computes the loss, and brings it and a batch up to date with the model before a step."""

    def __init__(
        self,
        spec: TrainSpec,
        model: TrainableModel,
        split: TrainingSplit,
        identities: PairIdentities,
        batches: BatchSampler,
        device: torch.device,
        teacher: TeacherVectors | None = None,
    ) -> None:
        """Take the vectors of the split under a teacher, if the settings name one."""
        self._model, self._split, self._batches, self._device = model, split, batches, device
        dim = encode_images(model, split.pixels, np.zeros(1, np.int64), device).shape[1]
        items, correct = identities.items, identities.correct
        self._base = make_loss(spec.losses, model.traits, items, correct, dim)
        self.loss: PairLoss = self._base
        self._distilled: DistilledLoss | None = None
        if teacher is not None:
            self._distilled = DistilledLoss(self._base, teacher, spec.distillation, dim)
            self.loss = self._distilled
        self._seed = spec.seed
        if isinstance(self.loss, nn.Module):
            self.loss.to(device)
        self._last = spec.epochs * len(batches)  # of the run's batches
        # In batches, of which a step may have several.
        self._every = spec.negatives.mine_every * spec.step.accumulate or len(batches)
        self._negatives = None
        if spec.negatives.hard_negatives:
            size = len(split.texts), spec.negatives.hard_negatives
            self._negatives = HardNegatives(*size).to(device)
            self._miner = NegativeMiner(model, split, identities, spec.negatives, spec.seed, device)

    def join(self, trained: nn.Module, optimiser: Optimizer) -> nn.Module:
        """Return a module of all that is trained or restored; add the loss to the optimiser."""
        parts = {"loss": self.loss, "negatives": self._negatives}
        modules = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
        if not modules:
            return trained
        if parameters := [p for module in modules.values() for p in module.parameters()]:
            optimiser.add_param_group({"params": parameters, "weight_decay": 0.0})
        return nn.ModuleDict({"trained": trained, **modules})

    def prepare(self, batch: TrainingBatch) -> TrainingBatch:
        """Return the batch of the next step with its hard negatives, mined if that is due.

        The network may be left in eval mode.
        """
        if isinstance(self._base, ArcFaceLoss) and self._base.needs_start:
            images = np.arange(len(self._split.pixels))
            self._base.start(encode_images(self._model, self._split.pixels, images, self._device))
        if self._distilled is not None and self._distilled.needs_start:
            self._start_distillation(self._distilled)
        if self._negatives is None:
            return batch
        if self._negatives.is_due(batch.number, self._every):
            first = batch.number - batch.number % self._every
            queries = self._batches.queries_of(first, min(self._every, self._last - first))
            self._negatives.replace(queries, self._miner.mine(queries, first), first)
        return self._batches.with_negatives(batch, self._negatives.of(batch.queries))

    def _start_distillation(self, loss: DistilledLoss) -> None:
        """Fit the loss to what the model makes of the split, or of a sample of a larger one."""
        rng = np.random.default_rng(self._seed)
        images, queries = (
            np.sort(rng.choice(count, min(count, _FITTED), replace=False))
            for count in (len(self._split.pixels), len(self._split.texts))
        )
        vectors = encode_images(self._model, self._split.pixels, images, self._device)
        texts = encode_texts(self._model, self._split.tokens[queries], self._device)
        known = np.zeros((0, 0), np.bool_)  # which pairs are correct plays no part
        targets = (torch.from_numpy(each).to(self._device) for each in (known, queries, images))
        loss.start(vectors, texts, BatchTargets(*targets))
