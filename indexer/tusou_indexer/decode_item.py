"""The decoding of one image, as a job of `ImageWorkers`."""

from pathlib import Path
from zlib import crc32

import numpy as np

from tusou.bundle.item_reader import decode_stored_image, read_span
from tusou.core.arrays import Pixels
from tusou.core.ids import Encoding
from tusou.images.preparation import Preparation
from tusou.images.preprocess import open_image, to_pixels

_CHECKSUM_BYTES = 4


def decode_item(
    path: str,
    offset: int,
    length: int,
    encoding: Encoding,
    size: int,
    preparation: Preparation,
    max_megapixels: int,
) -> bytes:
    """Return the CRC-32 of the stored bytes and the pixels of the image; BadImage."""
    stored = read_span(Path(path), offset, length)
    image = open_image(decode_stored_image(stored, encoding), max_megapixels)
    pixels = to_pixels(image, size, preparation)
    return crc32(stored).to_bytes(_CHECKSUM_BYTES, "little") + pixels.tobytes()


def split_decoded(result: bytes, size: int) -> tuple[int, Pixels]:
    """Return the checksum and the pixels, (size, size, 3), of a result of `decode_item`."""
    pixels = np.frombuffer(result, np.uint8, offset=_CHECKSUM_BYTES)
    return int.from_bytes(result[:_CHECKSUM_BYTES], "little"), pixels.reshape(size, size, 3)
