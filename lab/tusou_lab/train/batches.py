"""Training batches of query-image pairs, reproducible from the seed."""

from collections.abc import Iterator, Sequence
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
    queries: NDArray[np.int64]  # (n,) positions of the queries in the split
    images: NDArray[np.int64]  # (n,) positions of the images in the split


@dataclass(frozen=True, slots=True)
class DrawnPairs:
    """Positions of queries and of their images, and the random numbers of the batch."""

    queries: NDArray[np.int64]  # (n,)
    images: NDArray[np.int64]  # (n,)
    rng: np.random.Generator


class PairSampler:
    """Draws the pairs of a query and a correct image of each epoch; the same seed draws the same.

    An epoch visits every query once, paired with one of its correct images at random. Where there
    are more images than queries, it visits every image that is correct for a query once instead,
    paired with one of those queries.
    """

    def __init__(
        self,
        correct: Sequence[NDArray[np.int64]],
        queries_of_images: Sequence[NDArray[np.int64]],
        size: int,
        seed: int,
    ) -> None:
        """Take the correct images of each query, the queries of each image, and a batch's size."""
        images = np.array([row for row, queries in enumerate(queries_of_images) if len(queries)])
        self._seed = seed
        self._by_image = len(images) > len(correct)
        self._partners = queries_of_images if self._by_image else correct
        self._visited = images if self._by_image else np.arange(len(correct))
        self._size = min(size, len(self._visited))

    def __len__(self) -> int:
        """Count the batches of an epoch; an incomplete last batch is dropped."""
        return len(self._visited) // self._size

    def epoch(self, number: int, start: int = 0) -> Iterator[DrawnPairs]:
        """Yield the pairs of epoch `number`, beginning with batch `start`."""
        rng = np.random.default_rng([self._seed, number])
        order = rng.permutation(self._visited)
        draws = rng.random(len(order))
        for index in range(start, len(self)):
            rows = slice(index * self._size, (index + 1) * self._size)
            batch_rng = np.random.default_rng([self._seed, number, index])
            visited, partners = order[rows], self._draw_partners(order[rows], draws[rows])
            queries, images = (partners, visited) if self._by_image else (visited, partners)
            yield DrawnPairs(queries, images, batch_rng)

    def _draw_partners(
        self, visited: NDArray[np.int64], draws: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        return np.array(
            [
                self._partners[row][int(draw * len(self._partners[row]))]
                for row, draw in zip(visited.tolist(), draws.tolist(), strict=True)
            ]
        )


class BatchSampler:
    """The batches of each epoch: the pairs of `PairSampler`, with their pixels and tokens."""

    def __init__(self, split: TrainingSplit, size: int, seed: int) -> None:
        self._split = split
        self._pairs = PairSampler(split.correct, split.queries_of_images(), size, seed)

    def __len__(self) -> int:
        """Count the batches of an epoch; an incomplete last batch is dropped."""
        return len(self._pairs)

    def epoch(self, number: int, start: int = 0) -> Iterator[TrainingBatch]:
        """Yield the batches of epoch `number`, beginning with batch `start`."""
        return map(self._batch, self._pairs.epoch(number, start))

    def _batch(self, pairs: DrawnPairs) -> TrainingBatch:
        tokens = self._split.tokens[pairs.queries]
        correct = np.array(
            [np.isin(pairs.images, self._split.correct[query]) for query in pairs.queries]
        )
        pixels = augment(self._split.pixels[pairs.images], pairs.rng)
        width = (tokens != 0).any(axis=0).sum()
        return TrainingBatch(pixels, tokens[:, :width], correct, pairs.queries, pairs.images)


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
