"""The settings of a contrastive training, grouped in sections."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tusou_lab.train.augment import AugmentSpec
from tusou_lab.train.distillation_spec import DistillationSpec
from tusou_lab.train.early_stopping import EarlyStopping
from tusou_lab.train.hard_negatives import NegativesSpec
from tusou_lab.train.lora import LoraSettings
from tusou_lab.train.losses import LossSpec
from tusou_lab.train.step_spec import StepSpec


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """The settings that determine the result of a run."""

    model: str
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int
    precision: str  # fp32, or bf16 or fp16 for matrix products in the towers
    freeze: str = "none"  # what stays as it is: vision, text, layers:N or none
    lora: int = 0  # the rank of adapters that are trained in place of the weights; 0: none
    lora_alpha: float = 0.0  # the adapters are scaled by alpha / rank
    lora_target: str = "attention"  # the layers that get one: attention, or all
    losses: LossSpec = field(default_factory=LossSpec)
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    negatives: NegativesSpec = field(default_factory=NegativesSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    recipe: str = ""  # that settings were taken from where none was given; empty: none
    prompt: str = ""  # a template with {query} that all texts are put into; empty: none
    step: StepSpec = field(default_factory=StepSpec)
    distillation: DistillationSpec = field(default_factory=DistillationSpec)

    @property
    def lora_settings(self) -> LoraSettings | None:
        """The settings of the adapters, None without."""
        if not self.lora:
            return None
        return LoraSettings(self.lora, self.lora_alpha, self.lora_target)

    def flat(self) -> dict[str, str | int | float]:
        """Return all settings by name, without the grouping in sections.

        Tuples become strings separated by commas; settings that are None are left out.
        """
        flat: dict[str, Any] = {}
        for name, value in asdict(self).items():
            flat.update(value if isinstance(value, dict) else {name: value})
        return {
            name: ",".join(value) if isinstance(value, tuple) else value
            for name, value in flat.items()
            if value is not None
        }
