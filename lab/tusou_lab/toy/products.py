"""The random products of a split, each drawn from its own seed."""

from hashlib import blake2b

import numpy as np

from tusou_lab.toy.catalogue import CATEGORIES, COLOURS, PATTERN_SHARES, PATTERNS, ToyProduct
from tusou_lab.toy.difficulty import EASY, Difficulty
from tusou_lab.toy.patterns import Rng

# The numbers are part of each item's seed and id; the order is that of the files.
SPLITS = {"train": 1, "valid": 2, "test": 3}
_FURTHER = 1  # keeps the generator of an image's further products apart
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
    return _draw_product(split, rng), rng


def draw_scene(
    seed: int, split: str, index: int, difficulty: Difficulty = EASY
) -> tuple[list[ToyProduct], Rng]:
    """Return all products of one image, the largest first, and the image's generator.

    The further products are of other categories than the first.
    """
    first, rng = draw_facts(seed, split, index)
    if len(difficulty.further_products) == 1:
        return [first], rng
    further = np.random.default_rng([seed, SPLITS[split], index, _FURTHER])
    scene = [first]
    count = 1 + int(further.choice(len(difficulty.further_products), p=difficulty.further_products))
    while len(scene) < count:
        product = _draw_product(split, further)
        if all(product.category is not other.category for other in scene):
            scene.append(product)
    return scene, rng


def _draw_product(split: str, rng: Rng) -> ToyProduct:
    while True:
        category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
        colour = _COLOURS[int(rng.integers(len(_COLOURS)))]
        pattern = str(rng.choice(_PATTERNS, p=PATTERN_SHARES)) if category.patterned else "plain"
        facts = {"colour": colour, "pattern": pattern}
        if split == "train" and is_held_out(ToyProduct(category, facts)):
            continue
        for trait, options in category.traits.items():
            facts[trait] = tuple(options)[int(rng.integers(len(options)))]
        return ToyProduct(category, facts)


def is_held_out(product: ToyProduct) -> bool:
    """Return whether the category, colour and pattern are excluded from training: a tenth are."""
    combination = product.category.shape, product.facts["colour"], product.facts["pattern"]
    digest = blake2b("/".join(combination).encode(), digest_size=2).digest()
    return int.from_bytes(digest, "big") % 10 == 0
