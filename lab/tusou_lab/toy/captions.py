"""Captions of the images of a split, each with all images it is true of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tusou_lab.toy.catalogue import ToyProduct
from tusou_lab.toy.products import SPLITS
from tusou_lab.toy.queries import ProductPool, pick_facts, unused_wording

# Keeps this stream of random numbers apart from those of queries and of items.
_STREAM = (0, 1)
_STATED_FACTS = (2, 4)  # least and most of a caption


@dataclass(frozen=True, slots=True)
class ToyCaption:
    """A caption, and the positions of all images it is true of."""

    text: str
    images: tuple[int, ...]


def write_captions(products: Sequence[ToyProduct], split: str, seed: int) -> list[ToyCaption]:
    """Write a caption for every image in a wording reserved for its split; all captions differ.

    An image without an unused wording gets no caption of its own.
    """
    rng = np.random.default_rng([seed, SPLITS[split], *_STREAM])
    pool = ProductPool(products)
    captions: dict[str, ToyCaption] = {}
    for product in products:
        stated = pick_facts(product, int(rng.integers(_STATED_FACTS[0], _STATED_FACTS[1] + 1)), rng)
        text = unused_wording(product.category, stated, split, captions, rng)
        if text is not None:
            images = pool.find(product.category, stated)
            captions[text] = ToyCaption(text, tuple(images.tolist()))
    return list(captions.values())


def captions_by_image(captions: Sequence[ToyCaption], images: int) -> list[list[int]]:
    """Return, for each of `images` images, the positions of the captions that are true of it."""
    by_image: list[list[int]] = [[] for _ in range(images)]
    for number, caption in enumerate(captions):
        for image in caption.images:
            by_image[image].append(number)
    return by_image
