"""The random products of a split, each drawn from its own seed."""

from hashlib import blake2b

import numpy as np

from tusou_lab.toy.catalogue import CATEGORIES, COLOURS, PATTERN_SHARES, PATTERNS, ToyProduct
from tusou_lab.toy.patterns import Rng

# The numbers are part of each item's seed and id; the order is that of the files.
SPLITS = {"train": 1, "valid": 2, "test": 3}
_COLOURS = tuple(COLOURS)
_PATTERNS = tuple(PATTERNS)


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
        pattern = str(rng.choice(_PATTERNS, p=PATTERN_SHARES)) if category.patterned else "plain"
        facts = {"colour": colour, "pattern": pattern}
        if split == "train" and is_held_out(ToyProduct(category, facts)):
            continue
        for trait, options in category.traits.items():
            facts[trait] = tuple(options)[int(rng.integers(len(options)))]
        return ToyProduct(category, facts), rng


def is_held_out(product: ToyProduct) -> bool:
    """Return whether the category, colour and pattern are excluded from training: a tenth are."""
    combination = product.category.shape, product.facts["colour"], product.facts["pattern"]
    digest = blake2b("/".join(combination).encode(), digest_size=2).digest()
    return int.from_bytes(digest, "big") % 10 == 0
