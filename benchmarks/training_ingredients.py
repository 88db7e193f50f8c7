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


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Changed fields of the settings; a recipe has at most one ingredient of a kind."""

    kind: str
    changes: Mapping[str, Any]


# Another option of `tusou train` gets a place in the benchmark by a line here.
INGREDIENTS: dict[str, Ingredient] = {
    "loss of cn_clip": Ingredient("loss", {"losses": LossSpec("cn_clip")}),
    "sigmoid loss": Ingredient("loss", {"losses": LossSpec("sigmoid")}),
    "triplet loss": Ingredient("loss", {"losses": LossSpec("triplet")}),
    "ArcFace loss": Ingredient("loss", {"losses": LossSpec("arcface")}),
    "no near duplicates": Ingredient("loss", {"losses": LossSpec(duplicates="none")}),
    "hard negatives": Ingredient("negatives", {"negatives": NegativesSpec(1)}),
    "text changes": Ingredient(
        "text", {"augment": AugmentSpec(augment_texts=("order", "synonyms", "drop"))}
    ),
    "text templates": Ingredient("text", {"augment": AugmentSpec(augment_texts=("templates",))}),
    "image changes": Ingredient(
        "images", {"augment": AugmentSpec(("crop", "shift", "flip", "colour", "cut-out"))}
    ),
    "no image changes": Ingredient("images", {"augment": AugmentSpec(())}),
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
    "average of weights": Ingredient("average", {"step": StepSpec(ema=0.95)}),
    "layer decay": Ingredient("trained", {"step": StepSpec(layer_decay=0.7)}),
    "masked patches": Ingredient("mask", {"step": StepSpec(mask_patches=0.3)}),
    "LoRA 8": Ingredient("trained", {"lora": 8, "lora_alpha": 16.0, "lr": 10.0}),
}
_FACTORS = ("epochs", "lr")  # numbers of an ingredient that multiply those of the plain recipe


def make_spec(plain: TrainSpec, recipe: Sequence[str]) -> TrainSpec:
    """Return the settings of a recipe."""
    spec = plain
    for name in recipe:
        changes = dict(INGREDIENTS[name].changes)
        for field in _FACTORS:
            if field in changes:
                changes[field] = type(getattr(spec, field))(getattr(spec, field) * changes[field])
        if "augment" in changes:
            changes["augment"] = _join(spec.augment, changes["augment"])
        if "step" in changes:
            changes["step"] = _add(spec.step, changes["step"])
        spec = replace(spec, **changes)
    return spec


def _add(current: StepSpec, added: StepSpec) -> StepSpec:
    """Return a step's settings with those of another that differ from the default."""
    default, settings = asdict(StepSpec()), asdict(added)
    return replace(current, **{n: value for n, value in settings.items() if value != default[n]})


def _join(current: AugmentSpec, added: AugmentSpec) -> AugmentSpec:
    """Return the policies of both, where the added ones differ from the default."""
    default = AugmentSpec()
    return AugmentSpec(
        current.augment_images
        if added.augment_images == default.augment_images
        else added.augment_images,
        added.augment_texts or current.augment_texts,
    )


def fits(name: str, recipe: Sequence[str]) -> bool:
    """Return whether a recipe has no ingredient of the same kind yet."""
    return INGREDIENTS[name].kind not in {INGREDIENTS[other].kind for other in recipe}
