"""Groups of one correct image and several negatives for a query, drawn from the seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tusou_lab.train.batches import DrawnPairs, PairSampler
from tusou_lab.train.rerank.data import Positions, RerankSplit

HARD, RANDOM = 5, 2  # negatives of a group: from the query's best images, and from all


@dataclass(frozen=True, slots=True)
class RerankBatch:
    """Groups of images; the first of each group is correct for its query."""

    queries: Positions  # (q,)
    images: Positions  # (q, 1 + HARD + RANDOM)
    used: NDArray[np.bool_]  # of the same shape: False where there is no further negative


class GroupSampler:
    """Draws the batches of each epoch; the same seed gives the same batches.

    An image that the answers call correct for a query, or for another query of the same text, is
    never its negative. The hard ones are drawn only beside a correct image that is itself among
    the query's best: beside another one, each would have the higher cosine, and the network would
    learn that a high cosine is a bad sign.
    """

    def __init__(
        self,
        split: RerankSplit,
        queries_of_images: tuple[Positions, ...],
        size: int,
        seed: int,
    ) -> None:
        self._split = split
        self._pairs = PairSampler(split.correct, queries_of_images, size, seed)
        self.size = self._pairs.size  # the queries of a batch
        self._hard = [split.hard_negatives(query) for query in range(len(split.correct))]

    def __len__(self) -> int:
        """Count the batches of an epoch; an incomplete last batch is dropped."""
        return len(self._pairs)

    def epoch(self, number: int, start: int = 0) -> Iterator[RerankBatch]:
        """Yield the batches of epoch `number`, beginning with batch `start`."""
        return map(self._batch, self._pairs.epoch(number, start))

    def _batch(self, pairs: DrawnPairs) -> RerankBatch:
        images = np.zeros((len(pairs.queries), 1 + HARD + RANDOM), np.int64)
        used = np.zeros(images.shape, np.bool_)
        images[:, 0], used[:, 0] = pairs.images, True
        for row, query in enumerate(pairs.queries.tolist()):
            negatives = self._draw_negatives(query, int(pairs.images[row]), pairs.rng)
            images[row, 1 : 1 + len(negatives)] = negatives
            used[row, 1 : 1 + len(negatives)] = True
        return RerankBatch(pairs.queries, images, used)

    def _draw_negatives(self, query: int, image: int, rng: np.random.Generator) -> Positions:
        is_among_best = image in self._split.candidates[query]
        hard = self._hard[query] if is_among_best else np.empty(0, np.int64)
        chosen = rng.choice(hard, min(HARD, len(hard)), replace=False)
        count = HARD + RANDOM - len(chosen)
        # Twice as many as needed, since some are correct.
        drawn = rng.integers(0, len(self._split.image_vectors), 2 * count)
        random = drawn[~np.isin(drawn, self._split.correct[query])][:count]
        return np.concatenate([chosen, random])
