"""LRU cache of query vectors."""

from collections import OrderedDict

import numpy as np

from tusou.core.arrays import Vectors
from tusou.encoders.base import TextEncoder, Tokens


class QueryCache:
    """Caches the vectors of one text encoder by token ids; the least recently used leave first.

    Token ids are all that the model reads of a text, the prompt included. A cached vector is
    bit for bit the one that the model returned. Nothing that depends on the index is cached.
    Not safe for concurrent calls.
    """

    def __init__(self, encoder: TextEncoder, capacity: int) -> None:
        self._encoder, self._capacity = encoder, capacity
        self._cached: OrderedDict[bytes, Vectors] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cached)

    def encode(self, tokens: Tokens) -> tuple[Vectors, int]:
        """Return one unit row per text (n, dim), and how many of them came from the cache.

        Raises FloatingPointError, and caches nothing, when the model returns a vector that is
        not finite.
        """
        if not self._capacity:
            return check_finite(self._encoder.encode(tokens)), 0
        keys = tokens.keys()
        missing = [row for row, key in enumerate(keys) if key not in self._cached]
        vectors = np.empty((len(keys), self._encoder.dim), np.float32)
        for row, key in enumerate(keys):
            if key in self._cached:
                self._cached.move_to_end(key)
                vectors[row] = self._cached[key]
        if missing:
            if len(missing) < len(keys):
                tokens = tokens.take(missing)
            vectors[missing] = check_finite(self._encoder.encode(tokens))
            for row in missing:
                self._cached[keys[row]] = vectors[row].copy()
            while len(self._cached) > self._capacity:
                self._cached.popitem(last=False)
        return vectors, len(keys) - len(missing)


def check_finite(vectors: Vectors) -> Vectors:
    """Return the vectors, or raise FloatingPointError if any number is NaN or infinite.

    An index would return arbitrary items for them.
    """
    if not np.isfinite(vectors).all():
        raise FloatingPointError("the model returned a vector that is not finite")
    return vectors
