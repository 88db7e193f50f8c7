"""The ingredients of training recipes: each is a change of the plain recipe's settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tusou_lab.train.augment import AugmentSpec
from tusou_lab.train.distillation_spec import DistillationSpec
from tusou_lab.train.hard_negatives import NegativesSpec
from tusou_lab.train.losses import LossSpec
from tusou_lab.train.spec import TrainSpec
from tusou_lab.train.step_spec import StepSpec

PLAIN: tuple[str, ...] = ()


SOUP, BLEND = "greedy soup of three rates", "blend with the start"
_SOUP_RATES = (0.5, 1.0, 2.0)  # of the learning rate, a model each


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Changed fields of the settings; a recipe has at most one ingredient of a kind."""

    kind: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecipeSteps:
    """The models that a recipe trains, and whether their average is blended with the start."""

    members: tuple[TrainSpec, ...]
    blend: bool

    @property
    def averaged(self) -> bool:
        """Return whether the result is an average of weights."""
        return self.blend or len(self.members) > 1


# Another option of `tusou train` gets a place in the benchmark by a line here.
INGREDIENTS: dict[str, Ingredient] = {
    "multi-positive loss": Ingredient("loss", {"losses": LossSpec("multi-positive")}),
    "no near duplicates": Ingredient(
        "loss", {"losses": LossSpec("multi-positive", duplicates="none")}
    ),
    "sigmoid loss": Ingredient("loss", {"losses": LossSpec("sigmoid")}),
    "triplet loss": Ingredient("loss", {"losses": LossSpec("triplet")}),
    "ArcFace loss": Ingredient("loss", {"losses": LossSpec("arcface")}),
    "hard negatives": Ingredient("negatives", {"negatives": NegativesSpec(1)}),
    "text changes": Ingredient("texts", {"augment_texts": ("order", "synonyms", "drop")}),
    "text templates": Ingredient("texts", {"augment_texts": ("templates",)}),
    "default image changes": Ingredient("images", {"augment_images": AugmentSpec().augment_images}),
    "all image changes": Ingredient(
        "images", {"augment_images": ("crop", "shift", "flip", "colour", "cut-out")}
    ),
    "prompt": Ingredient("prompt", {"prompt": "一张{query}的照片"}),
    # The demo model's own start, where the demo model is what is trained.
    "teacher's relations": Ingredient(
        "teacher", {"distillation": DistillationSpec("demo", "relations", 0.5)}
    ),
    "teacher's relations alone": Ingredient(
        "teacher", {"distillation": DistillationSpec("demo", "relations", 1.0)}
    ),
    "teacher's features": Ingredient(
        "teacher", {"distillation": DistillationSpec("demo", "features", 0.5)}
    ),
    "teacher's features alone": Ingredient(
        "teacher", {"distillation": DistillationSpec("demo", "features", 1.0)}
    ),
    "twice the epochs": Ingredient("length", {"epochs": 2}),
    "half the rate": Ingredient("rate", {"lr": 0.5}),
    "twice the rate": Ingredient("rate", {"lr": 2.0}),
    "four times the rate": Ingredient("rate", {"lr": 4.0}),
    "six times the rate": Ingredient("rate", {"lr": 6.0}),
    "average of weights": Ingredient("average", {"step": StepSpec(ema=0.95)}),
    "layer decay": Ingredient("trained", {"step": StepSpec(layer_decay=0.7)}),
    "masked patches": Ingredient("mask", {"step": StepSpec(mask_patches=0.3)}),
    "LoRA 8": Ingredient("trained", {"lora": 8, "lora_alpha": 16.0, "lr": 10.0}),
    SOUP: Ingredient("soup", {}),
    BLEND: Ingredient("blend", {}),
}
_POLICIES = ("augment_images", "augment_texts")
_FACTORS = ("epochs", "lr")  # numbers of an ingredient that multiply those of the plain recipe


def plain_spec(model: str, epochs: int, batch_size: int, lr: float) -> TrainSpec:
    """Return the plain recipe, that of cn_clip: its loss, and images and texts as they are."""
    return TrainSpec(
        *(model, epochs, batch_size, lr, 0.05, 0, "fp32"),
        losses=LossSpec("cn_clip"),
        augment=AugmentSpec(()),
    )


def make_spec(plain: TrainSpec, recipe: Sequence[str]) -> TrainSpec:
    """Return the settings of a recipe."""
    spec = plain
    for name in recipe:
        changes = dict(INGREDIENTS[name].changes)
        for field in _FACTORS:
            if field in changes:
                value = getattr(spec, field)
                changes[field] = type(value)(round(value * changes[field], 9))
        policies = {name: changes.pop(name) for name in _POLICIES if name in changes}
        changes["augment"] = replace(spec.augment, **policies)
        if "step" in changes:
            changes["step"] = _add(spec.step, changes["step"])
        spec = replace(spec, **changes)
    return spec


def steps_of(spec: TrainSpec, recipe: Sequence[str]) -> RecipeSteps:
    """Return the steps of a recipe whose settings are `spec`."""
    rates = _SOUP_RATES if SOUP in recipe else (1.0,)
    members = tuple(replace(spec, lr=rate * spec.lr) for rate in rates)
    return RecipeSteps(members, BLEND in recipe)


def _add(current: StepSpec, added: StepSpec) -> StepSpec:
    """Return a step's settings with those of another that differ from the default."""
    default, settings = asdict(StepSpec()), asdict(added)
    return replace(current, **{n: value for n, value in settings.items() if value != default[n]})


def fits(name: str, recipe: Sequence[str]) -> bool:
    """Return whether a recipe has no ingredient of the same kind yet."""
    return INGREDIENTS[name].kind not in {INGREDIENTS[other].kind for other in recipe}
