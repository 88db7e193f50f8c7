"""Training batches of query-image pairs, reproducible from the seed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tusou.core.arrays import Pixels
from tusou_lab.train.augment import AugmentSpec
from tusou_lab.train.augment.images import augment_images
from tusou_lab.train.augment.sides import names_side
from tusou_lab.train.augment.texts import augment_text
from tusou_lab.train.data import TrainingSplit
from tusou_lab.train.identities import PairIdentities

# Returns the tokens (n, width) of texts, padded with 0.
PrepareTexts: TypeAlias = Callable[[Sequence[str]], NDArray[np.int64]]

_NEGATIVES = 1  # sets the random numbers of hard negatives apart from those of the batch


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Pairs of one query and one image that is correct for it, and hard negatives, if any.

    The first n of the m images are those of the pairs.
    """

    pixels: Pixels  # (m, size, size, 3)
    tokens: NDArray[np.int64]  # (n, width), padded to the longest of the batch
    correct: NDArray[np.bool_]  # (n, m): is the column's image correct for the row's query
    queries: NDArray[np.int64]  # (n,) positions of the queries in the split
    images: NDArray[np.int64]  # (m,) positions of the images in the split
    step: int  # of the run, from 0


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
        self.size = min(size, len(self._visited))  # the pairs of a batch

    def __len__(self) -> int:
        """Count the batches of an epoch; an incomplete last batch is dropped."""
        return len(self._visited) // self.size

    def epoch(self, number: int, start: int = 0) -> Iterator[DrawnPairs]:
        """Yield the pairs of epoch `number`, beginning with batch `start`."""
        rng = np.random.default_rng([self._seed, number])
        order = rng.permutation(self._visited)
        draws = rng.random(len(order))
        for index in range(start, len(self)):
            rows = slice(index * self.size, (index + 1) * self.size)
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

    def __init__(
        self,
        split: TrainingSplit,
        size: int,
        seed: int,
        *,
        identities: PairIdentities | None = None,
        augment: AugmentSpec | None = None,
        prepare_texts: PrepareTexts | None = None,
    ) -> None:
        """Take the policies that change images and texts, and what tokenises changed texts."""
        self._split, self._seed = split, seed
        self._pairs = PairSampler(split.correct, split.queries_of_images(), size, seed)
        self.size = self._pairs.size  # the pairs of a batch
        self._identities = identities or PairIdentities.of(split)
        self._augment = augment or AugmentSpec()
        self._prepare_texts = prepare_texts
        if self._augment.augment_texts and prepare_texts is None:
            raise ValueError("changed texts need prepare_texts")
        self._may_flip = self._find_mirrorable()

    def __len__(self) -> int:
        """Count the batches of an epoch; an incomplete last batch is dropped."""
        return len(self._pairs)

    def epoch(self, number: int, start: int = 0) -> Iterator[TrainingBatch]:
        """Yield the batches of epoch `number`, beginning with batch `start`."""
        for index, pairs in enumerate(self._pairs.epoch(number, start), start):
            yield self._batch(pairs, number * len(self) + index)

    def queries_of(self, step: int, steps: int) -> NDArray[np.int64]:
        """Return the queries of the batches of `steps` steps from `step` on, ascending."""
        queries: list[NDArray[np.int64]] = []
        while len(queries) < steps:
            epoch, start = divmod(step + len(queries), len(self))
            of_epoch = [pairs.queries for pairs in self._pairs.epoch(epoch, start)]
            queries += of_epoch[: steps - len(queries)]
        return np.unique(np.concatenate(queries))

    def with_negatives(self, batch: TrainingBatch, negatives: NDArray[np.int64]) -> TrainingBatch:
        """Return a batch with further images by their positions, those that it lacks."""
        further = np.setdiff1d(negatives, batch.images)
        if not len(further):
            return batch
        # A mirrored image may become correct for a text that says left or right.
        sides = any(names_side(self._split.texts[query]) for query in batch.queries.tolist())
        may_flip = self._may_flip[further] & (not sides)
        rng = np.random.default_rng([self._seed, batch.step, _NEGATIVES])
        policies = self._augment.augment_images
        pixels = augment_images(self._split.pixels[further], rng, policies, may_flip)
        images = np.concatenate([batch.images, further])
        return replace(
            batch,
            pixels=np.concatenate([batch.pixels, pixels]),
            images=images,
            correct=self._identities.are_correct(batch.queries, images),
        )

    def _batch(self, pairs: DrawnPairs, step: int) -> TrainingBatch:
        pixels = augment_images(
            self._split.pixels[pairs.images],
            pairs.rng,
            self._augment.augment_images,
            self._may_flip[pairs.images],
        )
        tokens = self._tokens(pairs)
        width = (tokens != 0).any(axis=0).sum()
        correct = self._identities.are_correct(pairs.queries, pairs.images)
        return TrainingBatch(pixels, tokens[:, :width], correct, pairs.queries, pairs.images, step)

    def _tokens(self, pairs: DrawnPairs) -> NDArray[np.int64]:
        policies = self._augment.augment_texts
        if not policies or self._prepare_texts is None:
            return self._split.tokens[pairs.queries]
        texts = [self._split.texts[query] for query in pairs.queries.tolist()]
        return self._prepare_texts([augment_text(text, pairs.rng, policies) for text in texts])

    def _find_mirrorable(self) -> NDArray[np.bool_]:
        """Return which images have no query that says left or right."""
        may_flip = np.ones(len(self._split.pixels), np.bool_)
        for text, images in zip(self._split.texts, self._identities.correct, strict=True):
            if names_side(text):
                may_flip[images] = False
        return may_flip
