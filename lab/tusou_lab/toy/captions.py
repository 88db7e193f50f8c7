"""What could be said of a split's images: captions for an image to find, and which are true."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tusou_lab.toy.catalogue import Product
from tusou_lab.toy.products import SPLITS
from tusou_lab.toy.queries import Pool, new_wording, some_facts

# The last word sets this stream of random numbers apart from those of queries and of items.
_STREAM = (0, 1)
_STATED = (2, 4)  # how many facts a caption states, fewest and most


@dataclass(frozen=True, slots=True)
class ToyCaption:
    """A caption, and the positions of all the images of which it is true."""

    text: str
    images: tuple[int, ...]


def write_captions(products: Sequence[Product], split: str, seed: int) -> list[ToyCaption]:
    """Say something of every image in words of its split; all captions differ.

    An image of which all has been said already gets none of its own.
    """
    rng = np.random.default_rng([seed, SPLITS[split], *_STREAM])
    pool = Pool(products)
    said: dict[str, ToyCaption] = {}
    for product in products:
        stated = some_facts(product, int(rng.integers(_STATED[0], _STATED[1] + 1)), rng)
        text = new_wording(product.category, stated, split, said, rng)
        if text is not None:
            true = pool.satisfying(product.category, stated)
            said[text] = ToyCaption(text, tuple(true.tolist()))
    return list(said.values())


def captions_of(captions: Sequence[ToyCaption], images: int) -> list[list[int]]:
    """List per image the positions of the captions that are true of it."""
    found: list[list[int]] = [[] for _ in range(images)]
    for number, caption in enumerate(captions):
        for image in caption.images:
            found[image].append(number)
    return found
