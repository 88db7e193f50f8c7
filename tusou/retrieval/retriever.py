"""Texts to vectors and vectors to neighbours: on a device in one go, where both are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tusou.core.arrays import Neighbors, Vectors
from tusou.encoders import Followed, Passes, QueryCache, TextEncoder, Tokens
from tusou.indexes import DeviceSearch, VectorIndex

# How often a search goes deeper to see all items that tie at the end of an answer.
_TIE_ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class RankedNeighbors:
    """The best for one query, best first, padded as `Neighbors` are."""

    keys: list[int]
    scores: list[float]
    complete: bool  # whether the index holds no more

    def settles(self, depth: int) -> bool:
        """Tell whether no item that ties with the last of so many may be missing."""
        return self.complete or self.scores[depth - 1] != self.scores[-1]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedQueries:
    """Texts as vectors, and what is near to those that were searched for on the way."""

    vectors: Vectors  # (n, d)
    near: Sequence[RankedNeighbors | None]
    remembered: int  # texts whose vector was known from before
    searching: float = 0.0  # seconds of the device


class Retriever:
    """One encoder, the vectors it gave before, and one index. One call at a time.

    Where the encoder's passes and the index are on one device, new texts go there as tokens, and
    vectors, scores and row keys come back together. Everything else goes by way of the host: other
    engines, vectors that are on the host already, and what has to be looked at again.
    """

    def __init__(self, encoder: TextEncoder, index: VectorIndex, remember: int) -> None:
        self._encoder, self._index = encoder, index
        self._memory = QueryCache(encoder, remember)

    @property
    def direct(self) -> bool:
        """Tell whether texts can be encoded and searched for in one go."""
        return self._both() is not None

    def encode(self, tokens: Tokens, depth: int) -> EncodedQueries:
        """Encode texts and, if it can be done in one go, find `depth` neighbours of each new one.

        No neighbours are looked for with a depth of 0. Raises FloatingPointError for a vector that
        is not finite, whatever was found near it.
        """
        both, k = self._both(), self._width(depth)
        if depth and both and both[1].columns(k) <= both[0].room:
            return self._encode_and_search(tokens, *both, k)
        vectors, fresh = self._memory.encode(tokens)
        return EncodedQueries(vectors, [None] * len(vectors), len(vectors) - len(fresh))

    def _encode_and_search(
        self, tokens: Tokens, passes: Passes, search: DeviceSearch, k: int
    ) -> EncodedQueries:
        came: list[Followed] = []

        def encode(some: Tokens) -> Vectors:
            came.append(passes.encode_and(some.ids, partial(search.start, k=k), search.columns(k)))
            return came[0].vectors

        vectors, fresh = self._memory.encode(tokens, encode)
        near: list[RankedNeighbors | None] = [None] * len(vectors)
        for one in came:  # none when all texts were remembered
            for row, found in zip(fresh, self._each(search.read(one.beside, k)), strict=True):
                near[row] = found
        remembered = len(vectors) - len(fresh)
        return EncodedQueries(vectors, near, remembered, sum(one.seconds for one in came))

    def find(self, vectors: Sequence[Vectors], depths: Sequence[int]) -> list[RankedNeighbors]:
        """Find so many neighbours of each vector, and all those that tie with the last.

        Which of several equal items an index returns changes with the number asked for; pages
        of one answer would repeat some and lose others.
        """
        if not vectors:
            return []
        queries, count = np.stack(vectors), len(self._index)
        ends = np.minimum(depths, count)[:, None] - 1
        width = self._width(max(depths))
        found = self._index.search(queries, width)
        for _ in range(_TIE_ROUNDS):
            last = found.scores[:, -1]
            tied = np.take_along_axis(found.scores, ends, 1)[:, 0] == last
            if width == count or not tied[np.isfinite(last)].any():
                break
            width = min(2 * width, count)
            found = self._index.search(queries, width)
        return self._each(found)

    def _each(self, found: Neighbors) -> list[RankedNeighbors]:
        complete = found.ids.shape[1] >= len(self._index)
        rows = zip(found.ids.tolist(), found.scores.tolist(), strict=True)
        return [RankedNeighbors(keys, scores, complete) for keys, scores in rows]

    def _width(self, depth: int) -> int:
        """How many to ask for: one more shows whether the last is alone with its score."""
        return min(depth + 1, len(self._index))

    def _both(self) -> tuple[Passes, DeviceSearch] | None:
        passes, search = self._encoder.passes, self._index.on_device
        if passes is None or search is None or passes.device != search.device:
            return None
        return passes, search
