"""Which query meets which image: the batches of an epoch, drawn from the seed alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tusou.core.arrays import Pixels
from tusou_lab.train.data import Split


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of one query and one image that is correct for it."""

    pixels: Pixels  # (n, size, size, 3)
    tokens: NDArray[np.int64]  # (n, width), padded to the longest of the batch
    correct: NDArray[np.bool_]  # (n, n): is the column's image correct for the row's query


class Batches:
    """The pairs of a split, batch by batch; the same seed gives the same batches.

    An epoch visits every query once, each with one of its correct images drawn; where there are
    more images than queries, every image that some query asks for once, with one of those.
    """

    def __init__(self, split: Split, size: int, seed: int) -> None:
        self._split, self._seed = split, seed
        asking = split.asking()
        wanted = np.array([row for row, found in enumerate(asking) if len(found)])
        self._by_image = len(wanted) > len(split.answers)
        self._partners = asking if self._by_image else split.answers
        self._visited = wanted if self._by_image else np.arange(len(split.answers))
        self._size = min(size, len(self._visited))

    def __len__(self) -> int:
        """Count the batches of an epoch; a last one that is not full is left out."""
        return len(self._visited) // self._size

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """Yield an epoch's batches from `start` on."""
        rng = np.random.default_rng([self._seed, number])
        order = rng.permutation(self._visited)
        draws = rng.random(len(order))
        for index in range(start, len(self)):
            rows = slice(index * self._size, (index + 1) * self._size)
            picks = np.random.default_rng([self._seed, number, index])
            yield self._batch(order[rows], draws[rows], picks)

    def _batch(
        self, visited: NDArray[np.int64], draws: NDArray[np.float64], rng: np.random.Generator
    ) -> Batch:
        partners = np.array(
            [
                self._partners[row][int(draw * len(self._partners[row]))]
                for row, draw in zip(visited.tolist(), draws.tolist(), strict=True)
            ]
        )
        queries, images = (partners, visited) if self._by_image else (visited, partners)
        tokens = self._split.tokens[queries]
        correct = np.array([np.isin(images, self._split.answers[query]) for query in queries])
        pixels = augmented(self._split.pixels[images], rng)
        return Batch(pixels, tokens[:, : (tokens != 0).any(axis=0).sum()], correct)


def augmented(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Shift every image by up to a sixteenth of its side and mirror every other one."""
    reach = pixels.shape[1] // 16
    shifts = rng.integers(-reach, reach + 1, (len(pixels), 2))
    mirrored = rng.random(len(pixels)) < 0.5
    places = np.arange(pixels.shape[1])
    moved = np.empty_like(pixels)
    for row, (down, right) in enumerate(shifts.tolist()):
        down_places = (places + down).clip(0, places[-1])
        right_places = (places + right).clip(0, places[-1])
        if mirrored[row]:
            right_places = right_places[::-1]
        moved[row] = pixels[row][down_places[:, None], right_places]
    return moved
