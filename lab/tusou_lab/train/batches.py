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
from tusou_lab.train.sources import SourceRange

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
    number: int  # in the run, from 0


@dataclass(frozen=True, slots=True)
class DrawnPairs:
    """Positions of queries and of their images, and the random numbers of the batch."""

    queries: NDArray[np.int64]  # (n,)
    images: NDArray[np.int64]  # (n,)
    rng: np.random.Generator


@dataclass(frozen=True, slots=True)
class _Visits:
    """The queries or images of a source that epochs visit."""

    positions: NDArray[np.int64]
    by_image: bool  # images, with a query each, in place of queries with an image each
    weight: float

    @property
    def count(self) -> int:
        """The visits of an epoch; at least one."""
        return max(1, round(self.weight * len(self.positions)))

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the positions of an epoch: all as often as the weight says, and some at random."""
        times, rest = divmod(self.count, len(self.positions))
        drawn = [self.positions] * times
        if rest:
            drawn.append(rng.permutation(self.positions)[:rest])
        return np.concatenate(drawn)


class PairSampler:
    """Draws the pairs of a query and a correct image of each epoch; the same seed draws the same.

    An epoch visits every query once, paired with one of its correct images at random. Where there
    are more images than queries, it visits every image that is correct for a query once instead,
    paired with one of those queries. This holds for each source of a mixture, whose weight says how
    often its pairs are visited.
    """

    def __init__(
        self,
        correct: Sequence[NDArray[np.int64]],
        queries_of_images: Sequence[NDArray[np.int64]],
        size: int,
        seed: int,
        sources: Sequence[SourceRange] = (),
    ) -> None:
        """Take the correct images of each query, the queries of each image, and a batch's size."""
        self._seed, self._correct, self._queries_of_images = seed, correct, queries_of_images
        whole = SourceRange(len(correct), len(queries_of_images), 1.0)
        self._visits: list[_Visits] = []
        query = image = 0
        for source in sources or (whole,):
            owned = queries_of_images[image : image + source.images]
            images = np.array([n for n, queries in enumerate(owned, image) if len(queries)])
            queries = np.arange(query, query + source.queries)
            by_image = len(images) > len(queries)
            self._visits.append(_Visits(images if by_image else queries, by_image, source.weight))
            query, image = query + source.queries, image + source.images
        self.pairs = sum(visits.count for visits in self._visits)  # of an epoch
        self.size = min(size, self.pairs)  # the pairs of a batch

    def __len__(self) -> int:
        """Count the batches of an epoch; an incomplete last batch is dropped."""
        return self.pairs // self.size

    def epoch(self, number: int, start: int = 0) -> Iterator[DrawnPairs]:
        """Yield the pairs of epoch `number`, beginning with batch `start`."""
        rng = np.random.default_rng([self._seed, number])
        visited = np.concatenate([visits.draw(rng) for visits in self._visits])
        by_image = np.repeat(
            [visits.by_image for visits in self._visits], [visits.count for visits in self._visits]
        )
        order = rng.permutation(self.pairs)
        visited, by_image = visited[order], by_image[order]
        draws = rng.random(self.pairs)
        for index in range(start, len(self)):
            rows = slice(index * self.size, (index + 1) * self.size)
            batch_rng = np.random.default_rng([self._seed, number, index])
            partners = self._draw_partners(visited[rows], by_image[rows], draws[rows])
            queries = np.where(by_image[rows], partners, visited[rows])
            images = np.where(by_image[rows], visited[rows], partners)
            yield DrawnPairs(queries, images, batch_rng)

    def _draw_partners(
        self,
        visited: NDArray[np.int64],
        by_image: NDArray[np.bool_],
        draws: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        partners = []
        triples = zip(visited.tolist(), by_image.tolist(), draws.tolist(), strict=True)
        for row, is_image, draw in triples:
            choices = (self._queries_of_images if is_image else self._correct)[row]
            partners.append(choices[int(draw * len(choices))])
        return np.array(partners)


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
        self._pairs = PairSampler(
            split.correct, split.queries_of_images(), size, seed, split.sources
        )
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

    def queries_of(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the queries of `count` batches of the run from number `first` on, ascending."""
        queries: list[NDArray[np.int64]] = []
        while len(queries) < count:
            epoch, start = divmod(first + len(queries), len(self))
            of_epoch = [pairs.queries for pairs in self._pairs.epoch(epoch, start)]
            queries += of_epoch[: count - len(queries)]
        return np.unique(np.concatenate(queries))

    def with_negatives(self, batch: TrainingBatch, negatives: NDArray[np.int64]) -> TrainingBatch:
        """Return a batch with further images by their positions, those that it lacks."""
        further = np.setdiff1d(negatives, batch.images)
        if not len(further):
            return batch
        # A mirrored image may become correct for a text that says left or right.
        sides = any(names_side(self._split.texts[query]) for query in batch.queries.tolist())
        may_flip = self._may_flip[further] & (not sides)
        rng = np.random.default_rng([self._seed, batch.number, _NEGATIVES])
        policies = self._augment.augment_images
        pixels = augment_images(self._split.pixels[further], rng, policies, may_flip)
        images = np.concatenate([batch.images, further])
        return replace(
            batch,
            pixels=np.concatenate([batch.pixels, pixels]),
            images=images,
            correct=self._identities.are_correct(batch.queries, images),
        )

    def _batch(self, pairs: DrawnPairs, number: int) -> TrainingBatch:
        pixels = augment_images(
            self._split.pixels[pairs.images],
            pairs.rng,
            self._augment.augment_images,
            self._may_flip[pairs.images],
        )
        tokens = self._tokens(pairs)
        width = (tokens != 0).any(axis=0).sum()
        correct = self._identities.are_correct(pairs.queries, pairs.images)
        return TrainingBatch(
            pixels, tokens[:, :width], correct, pairs.queries, pairs.images, number
        )

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
