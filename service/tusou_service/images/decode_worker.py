"""The decoding of one query image, as a job of `ImageWorkers`."""

from tusou.images.formats import decode_image
from tusou.images.preprocess import open_image, to_pixels


def decode_query_image(image: bytes | str, size: int) -> bytes:
    """Return the RGB pixels, (size, size, 3), of an image file or its base64; BadImage."""
    data = decode_image(image.encode()) if isinstance(image, str) else image
    return to_pixels(open_image(data), size).tobytes()
