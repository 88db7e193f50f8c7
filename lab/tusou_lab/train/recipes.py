"""Training recipes: default settings by the number of pairs and the size of the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, TypeAlias

from tusou.data import Dataset, open_dataset
from tusou.encoders import find_weights
from tusou.encoders.families import find_family
from tusou_lab.train.data import find_split
from tusou_lab.train.models import ARCHITECTURE
from tusou_lab.train.sources import TrainingSource

RecipeName: TypeAlias = Literal["small", "medium", "large"]

# Each recipe is chosen by default for fewer pairs than this.
_PAIRS: tuple[tuple[float, RecipeName], ...] = (
    (10_000, "small"),
    (100_000, "medium"),
    (inf, "large"),
)
# Rates of models with fewer parameters: of all weights, and of adapters. Published models of 100
# million and more lose what they know at 5e-5 with batches that one GPU holds: MUGE was fine-tuned
# with 3e-6 on batches of 48 (Chinese-CLIP's notebook) and with 5e-6 on batches of 720.
_RATES: tuple[tuple[float, float, float], ...] = (
    (20e6, 5e-5, 5e-4),
    (250e6, 5e-6, 1e-4),
    (inf, 3e-6, 5e-5),
)
_RATE_FROM_SCRATCH = 5e-4  # cn_clip's own default
_DECAY_FROM_SCRATCH = 0.05
_LEAST_BATCHES = 8  # of an epoch, where the batch is not given


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """The settings that are used where none is given."""

    name: RecipeName
    lr: float
    epochs: int
    weight_decay: float
    batch_size: int
    reason: str  # what it was chosen by


@dataclass(frozen=True, slots=True)
class TrainingSize:
    """The size of the data and of the model, which decide the recipe."""

    pairs: int  # of an epoch
    parameters: int | None  # of both towers; None for an architecture with random weights


# Epochs, decay and batch of each recipe.
_RECIPES: dict[RecipeName, tuple[int, float, int]] = {
    "small": (8, 0.01, 64),
    "medium": (5, 0.005, 128),
    "large": (3, 0.001, 128),
}


def default_patience(epochs: int) -> int:
    """Return a third of the epochs, but at least 3."""
    return max(3, -(-epochs // 3))


def measure(sources: Sequence[TrainingSource], model: str) -> TrainingSize:
    """Count the pairs of an epoch and the model's parameters, without decoding an image.

    Errors are those of `open_dataset`, `find_split` and `find_weights`.
    """
    pairs = 0
    for source in sources:
        dataset = open_dataset(source.data)
        count = _count_pairs(dataset, find_split(dataset, dataset.only or "train"))
        pairs += max(1, round(source.weight * count))
    return TrainingSize(pairs, _count_parameters(model))


def choose_recipe(size: TrainingSize, name: RecipeName | None, *, adapters: bool) -> TrainingRecipe:
    """Return the recipe for a size of data and model; `name` overrides the choice by the data."""
    by_pairs = (recipe for most, recipe in _PAIRS if size.pairs < most)
    chosen = next(by_pairs) if name is None else name
    epochs, decay, batch = _RECIPES[chosen]
    lr, model = _rate(size.parameters, adapters=adapters), "random weights"
    if size.parameters is None:
        decay = _DECAY_FROM_SCRATCH
    else:
        model = f"{size.parameters / 1e6:.1f} million parameters"
    batch = max(2, min(batch, max(8, size.pairs // _LEAST_BATCHES)))
    return TrainingRecipe(chosen, lr, epochs, decay, batch, f"{size.pairs:,} pairs, {model}")


def usual_rate(model: str, *, adapters: bool) -> float:
    """Return the learning rate that suits a MODEL; errors as for `find_weights`."""
    return _rate(_count_parameters(model), adapters=adapters)


def _rate(parameters: int | None, *, adapters: bool) -> float:
    if parameters is None:
        return _RATE_FROM_SCRATCH
    whole, low_rank = next((w, a) for most, w, a in _RATES if parameters < most)
    return low_rank if adapters else whole


def _count_pairs(dataset: Dataset, split: str) -> int:
    """Return the queries with correct images, or the correct images if there are more of these."""
    named = [query.item_ids for query in dataset.queries(split) if query.item_ids]
    return max(len(named), len({str(item_id) for item_ids in named for item_id in item_ids}))


def _count_parameters(model: str) -> int | None:
    if model.endswith(ARCHITECTURE):
        return None
    weights = find_weights(model)
    family = find_family(weights)
    return sum(family.count_parameters(weights, tower) for tower in ("image", "text"))
