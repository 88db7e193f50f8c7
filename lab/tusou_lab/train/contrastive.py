"""The task of a contrastive training: a model, its loss, its optimiser and its data."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import nn

from tusou.cli.progress import Progress
from tusou_lab.train.accumulation import AccumulatedBatches
from tusou_lab.train.batches import BatchSampler, TrainingBatch
from tusou_lab.train.checkpointing import checkpoint_layers
from tusou_lab.train.data import SplitEncoder, check_splits, load_splits
from tusou_lab.train.depth import layer_factor
from tusou_lab.train.diagnosis import RunFacts, TrainingFinding, diagnose
from tusou_lab.train.duplicates import find_duplicates
from tusou_lab.train.files import check_kind
from tusou_lab.train.history import TrainingHistory
from tusou_lab.train.identities import PairIdentities
from tusou_lab.train.losses import resolve_loss
from tusou_lab.train.models import open_trainable
from tusou_lab.train.objective import Objective
from tusou_lab.train.optimiser import make_optimiser
from tusou_lab.train.processes import Processes
from tusou_lab.train.prompted import PromptedTokenizer
from tusou_lab.train.recipes import usual_rate
from tusou_lab.train.rounding import rounded_weights
from tusou_lab.train.sources import TrainingSource
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step import StepInputs, TrainingStep
from tusou_lab.train.teacher import TeacherVectors, teacher_digest
from tusou_lab.train.trained import TrainedShare
from tusou_lab.train.updater import LossScale, Updater
from tusou_lab.train.validate import validate
from tusou_lab.train.weight_average import WeightAverage


class ContrastiveTask:
    """The model with its loss, its optimiser and its two splits."""

    def __init__(
        self,
        spec: TrainSpec,
        out: Path,
        data: str | Sequence[TrainingSource],
        valid: str | None,
        device: torch.device,
        progress: Progress,
        processes: Processes,
        workers: int = 0,
    ) -> None:
        torch.manual_seed(spec.seed)
        self._device = device
        self._model = open_trainable(spec.model)
        traits = self._model.traits
        check_kind(out, traits.saved_as)
        spec.step.check(self._model, lora=bool(spec.lora))
        self._share = TrainedShare(self._model, spec.freeze, spec.lora_settings)
        self._model.network.to(device)
        trained = self._share.module.to(device)
        self.settings: dict[str, str | int | float] = {
            "model_sha256": traits.digest,
            "loss": resolve_loss(spec.losses.loss, traits),
            "trained_parameters": self._share.parameter_count,
        }
        name = spec.distillation.teacher
        if name is not None:
            self.settings["teacher_sha256"] = teacher_digest(name)
        self.optimiser = make_optimiser(
            trained,
            spec.lr,
            spec.weight_decay,
            transformer=traits.has_vit,
            lr_factor=layer_factor(self._model, spec.step.layer_decay),
        )
        if spec.step.checkpointing:
            checkpoint_layers(self._model.network, device)
        cache = out.parent / ".pixels"
        tokenize = PromptedTokenizer(self._model.tokenize, spec.prompt)
        encoder = SplitEncoder(traits.transform, tokenize)
        teacher: TeacherVectors | None = None
        with processes.first_alone():
            train_split, self._valid = load_splits(data, valid, encoder, cache, progress, workers)
            groups = find_duplicates(train_split, spec.losses.duplicates, cache, progress)
            if name is not None:
                teacher = TeacherVectors.load(
                    name,
                    train_split,
                    lambda encoder, bar: load_splits(data, valid, encoder, cache, bar, workers)[0],
                    cache,
                    device,
                    progress,
                )
        self._spec, self._train, self._cache = spec, train_split, cache
        self.records = {"train": train_split.record, "valid": self._valid.record}
        self.note = check_splits(train_split, self._valid)
        identities = PairIdentities.of(train_split, groups)
        sampler = BatchSampler(
            train_split,
            spec.batch_size,
            spec.seed,
            identities=identities,
            augment=spec.augment,
            prepare_texts=lambda texts: tokenize(texts).ids,
        )
        self.batches = AccumulatedBatches(sampler, spec.step.accumulate)
        self._batch_pairs = sampler.size
        self.pairs_per_step = sampler.size * spec.step.accumulate
        self._objective = Objective(
            spec, self._model, train_split, identities, sampler, device, teacher
        )
        scale = LossScale(device, enabled=spec.precision == "fp16")
        self._average = WeightAverage(trained, spec.step.ema) if spec.step.ema else None
        joined = self._objective.join(trained, self.optimiser)
        parts: dict[str, nn.Module] = {"trained": joined, "loss_scale": scale}
        if self._average is not None:
            parts["average"] = self._average
        self.model = nn.ModuleDict(parts)
        self._step = TrainingStep(
            self._model,
            self._objective.loss,
            Updater(joined, self.optimiser, scale, self._average, processes),
            spec.step,
            spec.precision,
            processes,
        )

    @property
    def temperature(self) -> float | None:
        return 1 / self._model.scale

    def diagnose(self, history: TrainingHistory, progress: Progress) -> list[TrainingFinding]:
        """Return what may have hindered a run of this task."""
        spec, model = self._spec, self._model
        kind = "exact" if spec.losses.duplicates == "none" else spec.losses.duplicates
        return diagnose(
            RunFacts(
                history=history,
                split=self._train,
                duplicates=find_duplicates(self._train, kind, self._cache, progress),
                batch_size=spec.batch_size,
                batch_pairs=self._batch_pairs,
                lr=spec.lr,
                usual_lr=usual_rate(spec.model, adapters=bool(spec.lora)),
                largest_scale=model.largest_scale,
            )
        )

    def validate(self) -> dict[str, float]:
        with self._saved_weights():
            return validate(self._model, self._valid, self._device)

    def save(self, path: Path, epoch: int, step: int, _: Mapping[str, float]) -> None:
        with self._saved_weights():
            self._model.save(path, epoch, step)

    @contextmanager
    def _saved_weights(self) -> Iterator[None]:
        """Give the network the weights that are validated and saved, within the block."""
        average = nullcontext() if self._average is None else self._average.applied()
        with average, self._share.merged(), rounded_weights(self._model):
            yield

    def train_step(self, batches: Sequence[TrainingBatch]) -> float:
        prepared = [self._objective.prepare(batch) for batch in batches]
        self._share.set_training_mode()
        return self._step([StepInputs.move(batch, self._device) for batch in prepared])
