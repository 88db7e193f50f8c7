"""The images of a split that are correct for each query, whatever id and row names them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tusou_lab.train.data import TrainingSplit

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairIdentities:
    """The correct images of each query, with those of equal texts and of duplicates.

    `items` (images,) numbers the items: duplicates have the number of their group.
    """

    correct: tuple[Positions, ...]
    items: Positions
    keys: Positions  # query * images + image of every correct pair, ascending

    @classmethod
    def of(cls, split: TrainingSplit, groups: Iterable[Sequence[int]] = ()) -> Self:
        """Take a split and the groups of its duplicates."""
        count = len(split.pixels)
        members = [np.array(group, np.int64) for group in groups]
        groups_of: dict[int, list[Positions]] = {}
        for group in members:
            for image in group.tolist():
                groups_of.setdefault(image, []).append(group)
        united = unite_same_texts(split.texts, split.correct)
        correct = tuple(_with_duplicates(images, groups_of) for images in united)
        queries = np.repeat(np.arange(len(correct)), [len(images) for images in correct])
        keys = queries * count + np.concatenate(correct)
        return cls(correct, _number_items(count, members), keys)

    def are_correct(self, queries: Positions, images: Positions) -> NDArray[np.bool_]:
        """Return for texts (n,) and images (m,), by their positions, which pairs are correct."""
        keys = queries[:, None] * len(self.items) + images
        nearest = self.keys[np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)]
        pairs: NDArray[np.bool_] = nearest == keys
        return pairs


def unite_same_texts(texts: Sequence[str], correct: Sequence[Positions]) -> tuple[Positions, ...]:
    """Give queries with the same text the same correct images."""
    united: dict[str, Positions] = defaultdict(lambda: np.empty(0, np.int64))
    for text, images in zip(texts, correct, strict=True):
        united[text] = np.union1d(united[text], images)
    return tuple(united[text] for text in texts)


def _with_duplicates(images: Positions, groups_of: dict[int, list[Positions]]) -> Positions:
    if not groups_of:
        return images
    groups = [group for image in images.tolist() for group in groups_of.get(image, ())]
    return np.unique(np.concatenate([images, *groups]))


def _number_items(count: int, groups: Sequence[Positions]) -> Positions:
    """Number the items from 0; images that groups connect are one."""
    first = list(range(count))

    def find(image: int) -> int:
        while first[image] != image:
            first[image] = first[first[image]]
            image = first[image]
        return image

    for group in groups:
        for image in group[1:].tolist():
            a, b = sorted((find(int(group[0])), find(image)))
            first[b] = a
    roots = [find(image) for image in range(count)]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)
