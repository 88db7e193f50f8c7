"""The options of `tusou train`, with the defaults of each task."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tusou.cli.progress import Progress
from tusou.core.errors import InvalidRequest
from tusou.text.prompt import check_prompt
from tusou_lab.train.augment import AugmentSpec
from tusou_lab.train.distillation_spec import DistillationSpec
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.hard_negatives import NegativesSpec
from tusou_lab.train.loop import check_output
from tusou_lab.train.losses import LossSpec
from tusou_lab.train.recipes import (
    RecipeName,
    TrainingRecipe,
    choose_recipe,
    default_patience,
    measure,
)
from tusou_lab.train.rerank.run import RerankReport, RerankSpec, train_reranker
from tusou_lab.train.run import TrainReport, train
from tusou_lab.train.sources import parse_sources
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec
from tusou_lab.train.trained import FROZEN, LAYERS


@dataclass(frozen=True, slots=True)
class GivenOptions:
    """The options that were given; None stands for the default of the task."""

    task: Literal["contrastive", "rerank"]
    model: str | None
    bundle: Path | None
    layers: int | None
    epochs: int | None
    batch_size: int | None
    lr: float | None
    weight_decay: float | None
    seed: int
    precision: str
    freeze: str = "none"
    lora: int | None = None
    lora_alpha: float | None = None
    lora_target: str | None = None
    losses: LossSpec = field(default_factory=LossSpec)
    negatives: NegativesSpec = field(default_factory=NegativesSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    prompt: str | None = None
    step: StepSpec = field(default_factory=StepSpec)
    further: tuple[str, ...] = ()  # sources beside the first one
    recipe: RecipeName | None = None
    patience: int | None = None
    distillation: DistillationSpec = field(default_factory=DistillationSpec)
    interpret: bool = True  # of the queries of a reranker

    def take_recipe(self, data: str) -> TrainingRecipe:
        """Return the recipe for the data and the model; InvalidRequest, and errors of `measure`."""
        size = measure(parse_sources(data, self.further), self._check_contrastive())
        return choose_recipe(size, self.recipe, adapters=bool(self.lora))

    def describe(self, recipe: TrainingRecipe) -> str:
        """Return the line about what a recipe chose; empty if every setting was given."""
        chosen = {
            f"lr {recipe.lr:g}": self.lr,
            f"{recipe.epochs} epochs": self.epochs,
            f"batches of {recipe.batch_size}": self.batch_size,
            f"weight decay {recipe.weight_decay:g}": self.weight_decay,
        }
        missing = ", ".join(text for text, given in chosen.items() if given is None)
        return f"recipe {recipe.name} ({recipe.reason}): {missing}" if missing else ""

    def contrastive(self, recipe: TrainingRecipe) -> TrainSpec:
        """Return the settings of a contrastive training; InvalidRequest for options of rerank."""
        model = self._check_contrastive()
        epochs = self.epochs or recipe.epochs
        patience = default_patience(epochs) if self.patience is None else self.patience
        return TrainSpec(
            model,
            epochs,
            self.batch_size or recipe.batch_size,
            recipe.lr if self.lr is None else self.lr,
            recipe.weight_decay if self.weight_decay is None else self.weight_decay,
            self.seed,
            self.precision,
            self.freeze,
            losses=self.losses,
            stopping=EarlyStopping(patience),
            recipe=recipe.name,
            negatives=self.negatives,
            augment=self.augment,
            prompt=check_prompt(self.prompt) if self.prompt is not None else "",
            step=self.step,
            distillation=self.distillation,
            **self._lora(),
        )

    def _check_contrastive(self) -> str:
        """Return the model; InvalidRequest for options that are missing or of another task."""
        if self.model is None:
            raise InvalidRequest("Give the model to train with --model.")
        if self.bundle is not None or self.layers is not None or not self.interpret:
            raise InvalidRequest("--from, --layers and --no-interpret belong to --task rerank.")
        self.losses.check()
        self.distillation.check(self.losses)
        if self.freeze not in FROZEN and not LAYERS.fullmatch(self.freeze):
            raise InvalidRequest(f"--freeze {self.freeze}: give none, vision, text or layers:N")
        self._lora()
        if self.prompt is not None:
            check_prompt(self.prompt)
        return self.model

    def _lora(self) -> dict[str, Any]:
        if self.lora is None:
            if self.lora_alpha is not None or self.lora_target is not None:
                raise InvalidRequest("--lora-alpha and --lora-target need --lora.")
            return {}
        alpha = 2.0 * self.lora if self.lora_alpha is None else self.lora_alpha
        return {
            "lora": self.lora,
            "lora_alpha": alpha,
            "lora_target": self.lora_target or "attention",
        }

    def rerank(self) -> tuple[RerankSpec, Path]:
        """Return the settings of a cross-encoder, and its bundle; InvalidRequest."""
        if self.bundle is None:
            raise InvalidRequest("Give the bundle whose results to rerank with --from BUNDLE.")
        if self.model is not None:
            raise InvalidRequest("--task rerank uses the model of its bundle: leave out --model.")
        if self.negatives != NegativesSpec() or self.augment != AugmentSpec() or self.prompt:
            raise InvalidRequest(
                "--hard-negatives, --augment-images, --augment-text and --prompt are options of "
                "--task contrastive."
            )
        plain = (self.losses, self.step) == (LossSpec(), StepSpec())
        if self.freeze != "none" or self.lora is not None or not plain:
            raise InvalidRequest(
                "--freeze, --lora, and the options of the loss and of the step are options of "
                "--task contrastive."
            )
        if self.distillation.teacher is not None:
            raise InvalidRequest("--teacher is an option of --task contrastive.")
        if self.precision == "fp16":
            raise InvalidRequest("--task rerank is trained in fp32 or bf16.")
        if self.further or self.recipe or self.patience is not None:
            raise InvalidRequest(
                "--data, --recipe and --patience are options of --task contrastive."
            )
        self._lora()
        spec = RerankSpec(
            epochs=self.epochs or 8,
            batch_size=self.batch_size or 32,
            lr=1e-3 if self.lr is None else self.lr,
            weight_decay=0.01 if self.weight_decay is None else self.weight_decay,
            seed=self.seed,
            precision=self.precision,
            layers=self.layers or 2,
            interpret=self.interpret,
        )
        return spec, self.bundle


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The output of the command: a line, and notes on it."""

    summary: str
    notes: tuple[str, ...]


def run_task(
    data: str,
    given: GivenOptions,
    out: Path,
    *,
    valid: str | None,
    device: str,
    force: bool,
    progress: Progress,
    workers: int = 0,
    tensorboard: Path | None = None,
    why: bool = False,
) -> TaskResult:
    """Run the training that the options describe; arguments and errors are those of `train`."""
    if given.task == "contrastive":
        if not why:
            check_output(out, force=force)
        recipe = given.take_recipe(data)
        spec = given.contrastive(recipe)
        if line := given.describe(recipe):
            progress.notice(line)
        report = train(
            data,
            spec,
            out,
            valid=valid,
            device=device,
            force=force,
            progress=progress,
            further=given.further,
            workers=workers,
            tensorboard=tensorboard,
            why=why,
        )
        return _contrastive_result(report)
    if tensorboard or why:
        raise InvalidRequest("--tensorboard and --why are options of --task contrastive.")
    rerank_spec, bundle = given.rerank()
    return _rerank_result(
        train_reranker(
            data,
            rerank_spec,
            bundle,
            out,
            valid=valid,
            device=device,
            force=force,
            progress=progress,
            workers=workers,
        )
    )


def _contrastive_result(report: TrainReport) -> TaskResult:
    start, best = report.start_mean_recall, report.best_mean_recall
    after = f"after epoch {report.best_epoch}"
    if start is not None:
        after += f", {start:.2f} before"
    notes = [report.note] if report.note else []
    if not report.best_epoch:
        after = "before training"
        notes.append(
            "no epoch was better than the model at the start: its weights are saved unchanged in "
            f"{report.checkpoint}"
        )
    notes += report.findings
    summary = (
        f"{report.checkpoint}: mean_recall {best:.2f} on valid {after}, {report.steps} steps in "
        f"{report.seconds:.0f} s"
    )
    return TaskResult(summary, tuple(notes))


def _rerank_result(report: RerankReport) -> TaskResult:
    summary = (
        f"{report.checkpoint}: mean_recall {report.best_mean_recall:.2f} on valid after epoch "
        f"{report.best_epoch}, {report.base_mean_recall:.2f} without it, {report.steps} steps in "
        f"{report.seconds:.0f} s"
    )
    notes = [report.note] if report.note else []
    if report.best_mean_recall <= report.base_mean_recall:
        notes.append("the cross-encoder does not help on valid: do not use it")
    return TaskResult(summary, tuple(notes))
