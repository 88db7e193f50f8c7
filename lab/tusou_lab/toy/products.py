"""Which products a split holds: drawn one by one, each from its own seed."""

import numpy as np

from tusou_lab.toy.catalogue import CATEGORIES, COLOURS, PATTERN_SHARES, Category, Product, held_out
from tusou_lab.toy.patterns import Rng

# Part of each item's seed and of its id; the order is the order of the files.
SPLITS = {"train": 1, "valid": 2, "test": 3}
_COLOURS = tuple(COLOURS)
_PATTERNS, _SHARES = tuple(PATTERN_SHARES), tuple(PATTERN_SHARES.values())


def item_id(split: str, index: int) -> int:
    """Number an item so that no two splits share an id."""
    return SPLITS[split] * 10_000_000 + index


def draw_facts(seed: int, split: str, index: int) -> tuple[Product, Rng]:
    """Choose one item's facts; the generator returned goes on to draw its image.

    Every item has its own generator, so an item is the same whoever draws it and however
    many others there are. Combinations held out of training are drawn again in `train`.
    """
    rng = np.random.default_rng([seed, SPLITS[split], index])
    while True:
        category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
        colour = _COLOURS[int(rng.integers(len(_COLOURS)))]
        pattern = str(rng.choice(_PATTERNS, p=_SHARES)) if category.patterned else "plain"
        if split != "train" or not held_out(category, colour, pattern):
            return Product(category, _with_traits(category, colour, pattern, rng)), rng


def is_held_out(product: Product) -> bool:
    """Tell whether a product's combination is one that training never sees."""
    return held_out(product.category, product.facts["colour"], product.facts["pattern"])


def _with_traits(category: Category, colour: str, pattern: str, rng: Rng) -> dict[str, str]:
    facts = {"colour": colour, "pattern": pattern}
    for trait, options in category.traits.items():
        facts[trait] = tuple(options)[int(rng.integers(len(options)))]
    return facts
