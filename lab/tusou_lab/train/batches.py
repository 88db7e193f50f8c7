"""Training batches of query-image pairs, reproducible from the seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tusou.core.arrays import Pixels
from tusou_lab.train.data import TrainingSplit


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Pairs of one query and one image that is correct for it."""

    pixels: Pixels  # (n, size, size, 3)
    tokens: NDArray[np.int64]  # (n, width), padded to the longest of the batch
    correct: NDArray[np.bool_]  # (n, n): is the column's image correct for the row's query


class BatchSampler:
    """Draws the batches of each epoch; the same seed gives the same batches.

    An epoch visits every query once, paired with one of its correct images at random. Where the
    split has more images than queries, it visits every image that is correct for a query once
    instead, paired with one of those queries.
    """

    def __init__(self, split: TrainingSplit, size: int, seed: int) -> None:
        self._split, self._seed = split, seed
        queries_of_images = split.queries_of_images()
        images = np.array([row for row, queries in enumerate(queries_of_images) if len(queries)])
        self._by_image = len(images) > len(split.correct)
        self._partners = queries_of_images if self._by_image else split.correct
        self._visited = images if self._by_image else np.arange(len(split.correct))
        self._size = min(size, len(self._visited))

    def __len__(self) -> int:
        """Count the batches of an epoch; an incomplete last batch is dropped."""
        return len(self._visited) // self._size

    def epoch(self, number: int, start: int = 0) -> Iterator[TrainingBatch]:
        """Yield the batches of epoch `number`, beginning with batch `start`."""
        rng = np.random.default_rng([self._seed, number])
        order = rng.permutation(self._visited)
        draws = rng.random(len(order))
        for index in range(start, len(self)):
            rows = slice(index * self._size, (index + 1) * self._size)
            batch_rng = np.random.default_rng([self._seed, number, index])
            yield self._batch(order[rows], draws[rows], batch_rng)

    def _batch(
        self, visited: NDArray[np.int64], draws: NDArray[np.float64], rng: np.random.Generator
    ) -> TrainingBatch:
        partners = np.array(
            [
                self._partners[row][int(draw * len(self._partners[row]))]
                for row, draw in zip(visited.tolist(), draws.tolist(), strict=True)
            ]
        )
        queries, images = (partners, visited) if self._by_image else (visited, partners)
        tokens = self._split.tokens[queries]
        correct = np.array([np.isin(images, self._split.correct[query]) for query in queries])
        pixels = augment(self._split.pixels[images], rng)
        return TrainingBatch(pixels, tokens[:, : (tokens != 0).any(axis=0).sum()], correct)


def augment(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Shift each image by up to a sixteenth of its side and mirror half of them at random.

    Takes and returns (n, size, size, 3); pixels shifted in from outside repeat the border.
    """
    reach = pixels.shape[1] // 16
    shifts = rng.integers(-reach, reach + 1, (len(pixels), 2))
    mirrored = rng.random(len(pixels)) < 0.5
    positions = np.arange(pixels.shape[1])
    augmented = np.empty_like(pixels)
    for row, (down, right) in enumerate(shifts.tolist()):
        y = (positions + down).clip(0, positions[-1])
        x = (positions + right).clip(0, positions[-1])
        if mirrored[row]:
            x = x[::-1]
        augmented[row] = pixels[row][y[:, None], x]
    return augmented
