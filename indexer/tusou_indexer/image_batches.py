"""Batches of images to vectors: decoded in processes, encoded by the image tower."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from tusou.encoders import ImageEncoder
from tusou.images.workers import Decoder
from tusou_indexer.embed import Encode, EncodedBatch


def image_batches(decoder: Decoder, encoder: ImageEncoder) -> Encode:
    """Return what encodes the images at some places."""

    def encode(batches: Iterable[npt.NDArray[np.int64]]) -> Iterator[EncodedBatch]:
        for batch in decoder.decode(batches):
            none = np.empty((0, encoder.dim), np.float32)
            vectors = encoder.encode(batch.pixels) if batch.good else none
            yield EncodedBatch(vectors, batch.good, batch.bad, batch.checks)

    return encode
