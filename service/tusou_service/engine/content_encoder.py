"""Encoding of the contents of live items with the model of another version."""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tusou.bundle.bundle import Bundle
from tusou.core.arrays import Pixels, Vectors
from tusou.core.errors import BadImage
from tusou.images.preparation import Preparation
from tusou.images.preprocess import MAX_MEGAPIXELS
from tusou.images.transform import Transforms, pixel_shape
from tusou.images.workers import ImageWorkers
from tusou_service.engine.interfaces import Pipeline
from tusou_service.images.decode_worker import decode_upload

_log = logging.getLogger(__name__)


def encode_contents(
    pipeline: Pipeline, load_tower: Callable[[Pipeline], None], contents: Sequence[bytes]
) -> Vectors:
    """Encode image files, or texts in UTF-8, as items of a pipeline that is not served yet, (n, d).

    An image that cannot be decoded any more gets zeros, so that no query finds it.
    """
    bundle = pipeline.bundle
    if bundle.items == "texts":
        return pipeline.encode_items([content.decode() for content in contents]).vectors
    if not pipeline.image_tower_loaded:
        load_tower(pipeline)
    vectors = np.zeros((len(contents), bundle.dim), np.float32)
    for position, pixels in _decode(bundle, pipeline.transform, contents):
        (part,) = pipeline.encode_images(pixels[np.newaxis])
        vectors[position] = part.vector
    return vectors


def _decode(
    bundle: Bundle, transform: Transforms, contents: Sequence[bytes]
) -> Iterator[tuple[int, Pixels]]:
    steps = Preparation.parse(str(bundle.manifest.build.get("prepare", "none")))
    jobs = ((content, transform, MAX_MEGAPIXELS, steps) for content in contents)
    with ImageWorkers(decode_upload, 1, max_megapixels=MAX_MEGAPIXELS) as workers:
        for position, decoded in enumerate(workers.map(jobs)):
            if isinstance(decoded, BadImage):
                _log.warning("a live item's image cannot be decoded: %s", decoded)
            else:
                yield position, np.frombuffer(decoded, np.uint8).reshape(pixel_shape(transform))
