"""Bundles of vectors alone, whose queries are items or vectors: no model encodes a text."""

from collections.abc import Sequence

import numpy as np

from tusou.bundle.manifest import Manifest
from tusou.core.arrays import Vectors
from tusou.core.errors import NoEncoder
from tusou.encoders.base import Tokens


class NoTextEncoder:
    """Stands where a pipeline has its encoder.

    Queries with a text are refused one by one, by `SearchedItems.check`; the zeros that a batch
    holds in their place are never searched for.
    """

    backend = precision = "none"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def prepare(self, texts: Sequence[str]) -> Tokens:
        return Tokens(np.zeros((len(texts), 1), np.int64), (False,) * len(texts))

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        return [0.0] * len(texts)

    def warm_up(self) -> None: ...

    def encode(self, tokens: Tokens) -> Vectors:
        return np.zeros((len(tokens.ids), self.dim), np.float32)


def require_encoder(manifest: Manifest) -> None:
    """Raise NoEncoder for a bundle of vectors alone."""
    if not manifest.has_encoder:
        raise NoEncoder(
            "this bundle holds vectors without the model that encodes queries: search with a "
            "vector or an item, or index them again with --model"
        )
