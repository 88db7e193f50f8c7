"""The decoding of one uploaded image, as a job of `ImageWorkers`."""

from contextlib import suppress

from tusou.core.errors import BadImage
from tusou.images.formats import decode_image, find_format
from tusou.images.preparation import Preparation
from tusou.images.preprocess import open_image, to_pixels
from tusou.images.transform import Transforms


def decode_upload(
    image: bytes | str, transform: Transforms, max_megapixels: int, preparation: Preparation
) -> bytes:
    """Return the RGB pixels, of `pixel_shape`, of an image file or its base64; BadImage."""
    data = decode_image(image.encode()) if isinstance(image, str) else image
    if find_format(data) is None:
        # A body may also be base64; if it is not, the error is that of the bytes.
        with suppress(BadImage):
            data = decode_image(data)
    return to_pixels(open_image(data, max_megapixels), transform, preparation).tobytes()
