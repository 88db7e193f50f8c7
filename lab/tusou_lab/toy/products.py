"""The random products of a split, each drawn from its own seed."""

import numpy as np

from tusou_lab.toy.catalogue import (
    CATEGORIES,
    COLOURS,
    PATTERN_SHARES,
    Category,
    ToyProduct,
    is_combination_held_out,
)
from tusou_lab.toy.patterns import Rng

# The numbers are part of each item's seed and id; the order is that of the files.
SPLITS = {"train": 1, "valid": 2, "test": 3}
_COLOURS = tuple(COLOURS)
_PATTERNS, _SHARES = tuple(PATTERN_SHARES), tuple(PATTERN_SHARES.values())


def item_id(split: str, index: int) -> int:
    """Return the id of an item; no two splits share one."""
    return SPLITS[split] * 10_000_000 + index


def draw_facts(seed: int, split: str, index: int) -> tuple[ToyProduct, Rng]:
    """Return the facts of one item, and the generator that its image is drawn with.

    Every item has its own generator, so it does not depend on the other items or on the worker.
    In `train`, combinations that are held out are drawn again.
    """
    rng = np.random.default_rng([seed, SPLITS[split], index])
    while True:
        category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
        colour = _COLOURS[int(rng.integers(len(_COLOURS)))]
        pattern = str(rng.choice(_PATTERNS, p=_SHARES)) if category.patterned else "plain"
        if split != "train" or not is_combination_held_out(category, colour, pattern):
            return ToyProduct(category, _with_traits(category, colour, pattern, rng)), rng


def is_held_out(product: ToyProduct) -> bool:
    """Return whether the product's combination is excluded from training."""
    return is_combination_held_out(
        product.category, product.facts["colour"], product.facts["pattern"]
    )


def _with_traits(category: Category, colour: str, pattern: str, rng: Rng) -> dict[str, str]:
    facts = {"colour": colour, "pattern": pattern}
    for trait, options in category.traits.items():
        facts[trait] = tuple(options)[int(rng.integers(len(options)))]
    return facts
