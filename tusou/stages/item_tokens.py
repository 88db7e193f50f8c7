"""Image tokens of items: read from the bundle, or computed from the items' images."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.bundle.vector_file import VectorFile
from tusou.core.arrays import Pixels
from tusou.core.errors import TusouError
from tusou.encoders.cross.base import CrossEncoder, TokenRows
from tusou.images.preparation import Preparation
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import ImageTransform
from tusou.stages.base import CandidateItems

HALF_TYPE = "<f2"
_CACHE_BYTES = 64 * 2**20


class ItemTokens:
    """Tokens by row key, of which those that were computed last are kept."""

    def __init__(self, encoder: CrossEncoder, stored: VectorFile | None) -> None:
        self._encoder, self._stored = encoder, stored
        self._count = 0 if stored is None else len(stored)
        self._computed: OrderedDict[int, TokenRows] = OrderedDict()
        self._most = max(1, _CACHE_BYTES // encoder.shape.bytes_per_item)

    def ready(self, key: int) -> bool:
        """Return whether an item's tokens need not be computed."""
        return key < self._count or key in self._computed

    def rows(self, keys: Sequence[int], items: CandidateItems) -> tuple[list[int], TokenRows]:
        """Return the positions in `keys` of the items with tokens, and these, (positions, ...).

        An item whose image cannot be read is left out.
        """
        self._compute([key for key in keys if not self.ready(key)], items)
        positions = [position for position, key in enumerate(keys) if self.ready(key)]
        rows = np.empty((len(positions), self._encoder.shape.numbers_per_item), HALF_TYPE)
        stored = [row for row, position in enumerate(positions) if keys[position] < self._count]
        if stored and self._stored is not None:
            rows[stored] = self._stored.rows([keys[positions[row]] for row in stored])
        for row, position in enumerate(positions):
            if keys[position] >= self._count:
                rows[row] = self._computed[keys[position]]
        self._forget()
        return positions, rows

    def _compute(self, keys: Sequence[int], items: CandidateItems) -> None:
        pixels = {}
        for key in keys:
            try:
                pixels[key] = read_pixels(
                    items.bundle, items.image(str(items.id_at(key)))[0], self._encoder.transform
                )
            except TusouError:
                continue  # the item keeps its place
        if pixels:
            rows = self._encoder.encode_images(np.stack(list(pixels.values())))
            self._computed.update(zip(pixels, rows, strict=True))

    def _forget(self) -> None:
        while len(self._computed) > self._most:
            self._computed.popitem(last=False)


def read_pixels(bundle: Bundle, image: bytes, transform: ImageTransform) -> Pixels:
    """Return an image's pixels, (side, side, 3), as the bundle's items were prepared; BadImage."""
    steps = Preparation.parse(str(bundle.manifest.build.get("prepare", "none")))
    return to_pixels(open_image(image), transform, steps)
