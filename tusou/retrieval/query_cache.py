"""Remembers the vectors of texts that were asked before."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors
from tusou.encoders.base import TextEncoder, Tokens


class QueryCache:
    """One encoder's most recent vectors by the tokens they came from, the oldest forgotten first.

    Tokens are all that the model sees of a text: normalised text and prompt are in them, and the
    memory lives and dies with its encoder. A remembered vector is the very one that the model
    gave; nothing that depends on the index is kept. One call at a time.
    """

    def __init__(self, encoder: TextEncoder, capacity: int) -> None:
        self._encoder, self._capacity = encoder, capacity
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def encode(
        self, tokens: Tokens, encode: Callable[[Tokens], Vectors] | None = None
    ) -> tuple[Vectors, Sequence[int]]:
        """Return one unit row per text, and which rows were new.

        Those are made by one call of `encode` or, without one, of the encoder's own. Raises
        FloatingPointError, and keeps nothing, when the model gives a vector that is not finite.
        """
        encode = encode or self._encoder.encode
        if not self._capacity:
            return _finite(encode(tokens)), range(len(tokens.ids))
        keys = [row[row != 0].tobytes() for row in tokens.ids]
        fresh = [row for row, key in enumerate(keys) if key not in self._known]
        vectors = np.empty((len(keys), self._encoder.dim), np.float32)
        for row, key in enumerate(keys):
            if key in self._known:
                self._known.move_to_end(key)
                vectors[row] = self._known[key]
        if fresh:
            vectors[fresh] = _finite(encode(_some(tokens, fresh)))
            self._keep([keys[row] for row in fresh], vectors[fresh])
        return vectors, fresh

    def _keep(self, keys: Sequence[bytes], vectors: npt.NDArray[np.float32]) -> None:
        for key, vector in zip(keys, vectors, strict=True):
            self._known[key] = vector.copy()
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def _some(tokens: Tokens, rows: Sequence[int]) -> Tokens:
    if len(rows) == len(tokens.ids):
        return tokens
    return Tokens(tokens.ids[rows], tuple(tokens.truncated[row] for row in rows))


def _finite(vectors: Vectors) -> Vectors:
    if not np.isfinite(vectors).all():  # an index would answer these with nonsense
        raise FloatingPointError("the text tower gave a vector that is not finite")
    return vectors
