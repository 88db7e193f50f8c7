"""The decoding of one image, as a job of `ImageWorkers`."""

from pathlib import Path
from zlib import crc32

import numpy as np

from tusou.bundle.content import DIGEST_BYTES, content_digest
from tusou.bundle.item_reader import decode_stored_image, read_span
from tusou.core.arrays import Pixels
from tusou.core.ids import Encoding
from tusou.images.preparation import Preparation
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import Transforms, pixel_shape

_CHECKSUM_BYTES = 4
_HEAD_BYTES = _CHECKSUM_BYTES + DIGEST_BYTES


def decode_item(
    path: str,
    offset: int,
    length: int,
    encoding: Encoding,
    transform: Transforms,
    preparation: Preparation,
    max_megapixels: int,
) -> bytes:
    """Return CRC-32 of the stored bytes, digest of the content, and pixels of an image; BadImage.

    `split_decoded` takes them apart.
    """
    stored = read_span(Path(path), offset, length)
    content = decode_stored_image(stored, encoding)
    pixels = to_pixels(open_image(content, max_megapixels), transform, preparation)
    check = crc32(stored).to_bytes(_CHECKSUM_BYTES, "little")
    return check + content_digest(content) + pixels.tobytes()


def split_decoded(result: bytes, transform: Transforms) -> tuple[int, bytes, Pixels]:
    """Return checksum, digest and pixels, of `pixel_shape`, of a result of `decode_item`."""
    pixels = np.frombuffer(result, np.uint8, offset=_HEAD_BYTES).reshape(pixel_shape(transform))
    check = int.from_bytes(result[:_CHECKSUM_BYTES], "little")
    return check, result[_CHECKSUM_BYTES:_HEAD_BYTES], pixels
