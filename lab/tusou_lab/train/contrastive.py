"""The task of a contrastive training: a model, its loss, its optimiser and its data."""

from collections.abc import Mapping
from pathlib import Path

import torch

from tusou.cli.progress import Progress
from tusou_lab.train.batches import BatchSampler, TrainingBatch
from tusou_lab.train.data import SplitEncoder, check_splits, load_splits
from tusou_lab.train.duplicates import find_duplicates
from tusou_lab.train.files import check_kind
from tusou_lab.train.identities import PairIdentities
from tusou_lab.train.losses import resolve_loss
from tusou_lab.train.models import open_trainable
from tusou_lab.train.objective import Objective
from tusou_lab.train.optimiser import make_optimiser
from tusou_lab.train.prompted import PromptedTokenizer
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step import StepInputs, TrainingStep
from tusou_lab.train.trained import TrainedShare
from tusou_lab.train.validate import validate


class ContrastiveTask:
    """The model with its loss, its optimiser and its two splits."""

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
        self._device = device
        self._model = open_trainable(spec.model)
        traits = self._model.traits
        check_kind(out, traits.saved_as)
        self._share = TrainedShare(self._model, spec.freeze, spec.lora_settings)
        self._model.network.to(device)
        trained = self._share.module.to(device)
        self.settings: dict[str, str | int | float] = {
            "model_sha256": traits.digest,
            "loss": resolve_loss(spec.losses.loss, traits),
            "trained_parameters": self._share.parameter_count,
        }
        self.optimiser = make_optimiser(
            trained, spec.lr, spec.weight_decay, transformer=traits.has_vit
        )
        cache = out.parent / ".pixels"
        tokenize = PromptedTokenizer(self._model.tokenize, spec.prompt)
        encoder = SplitEncoder(traits.transform, tokenize)
        train_split, self._valid = load_splits(data, valid, encoder, cache, progress)
        self.records = {"train": train_split.record, "valid": self._valid.record}
        self.note = check_splits(train_split, self._valid)
        groups = find_duplicates(train_split, spec.losses.duplicates, cache, progress)
        identities = PairIdentities.of(train_split, groups)
        self.batches = BatchSampler(
            train_split,
            spec.batch_size,
            spec.seed,
            identities=identities,
            augment=spec.augment,
            prepare_texts=lambda texts: tokenize(texts).ids,
        )
        self._objective = Objective(
            spec, self._model, train_split, identities, self.batches, device
        )
        self.model = self._objective.join(trained, self.optimiser)
        self._step = TrainingStep(
            self._model, self._objective.loss, self.model, self.optimiser, spec.precision
        )
        self.pairs_per_step = self.batches.size

    @property
    def temperature(self) -> float | None:
        return 1 / self._model.scale

    def validate(self) -> dict[str, float]:
        with self._share.merged():
            return validate(self._model, self._valid, self._device)

    def save(self, path: Path, epoch: int, step: int, _: Mapping[str, float]) -> None:
        with self._share.merged():
            self._model.save(path, epoch, step)

    def train_step(self, batch: TrainingBatch) -> float:
        batch = self._objective.prepare(batch)
        self._share.set_training_mode()
        return self._step(StepInputs.move(batch, self._device))
