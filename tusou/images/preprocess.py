"""From untrusted image bytes to the square of pixels that an image tower reads."""

from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from tusou.core.arrays import Pixels
from tusou.core.errors import BadImage
from tusou.images.formats import check_bytes

MAX_IMAGE_PIXELS = 16_000_000
MAX_IMAGE_SIDE = 8192

# Pillow can open over forty formats; each one more is a parser open to strangers.
_FORMATS = ("JPEG", "PNG", "WEBP")
_TOO_LONG = f"image side over {MAX_IMAGE_SIDE} pixels"


def open_image(data: bytes) -> Image.Image:
    """Decode a JPEG, PNG or WebP image, refusing bombs by their header before decoding.

    Of an animation the first frame is taken, and EXIF orientation is ignored, both as cn_clip
    does. Raises BadImage, whose message is a short phrase that names the fault.
    """
    check_bytes(len(data))
    image = _read_header(data)
    _check_size(*image.size)
    _decode(image)
    return image


def _read_header(data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise BadImage("not a readable JPEG, PNG or WebP image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(_TOO_LONG) from None  # no image of that many pixels has short sides
    except Exception as error:  # Pillow's parsers raise anything on hostile bytes
        raise BadImage("broken image header") from error


def _check_size(width: int, height: int) -> None:
    if min(width, height) < 1:
        raise BadImage("image without pixels")
    if max(width, height) > MAX_IMAGE_SIDE:
        raise BadImage(_TOO_LONG)
    if width * height > MAX_IMAGE_PIXELS:
        raise BadImage(f"image over {MAX_IMAGE_PIXELS // 1_000_000} megapixels")


def _decode(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise anything on hostile bytes
        cut = "truncated" in str(error).lower()
        raise BadImage("truncated image" if cut else "broken image") from error


def to_pixels(image: Image.Image, size: int) -> Pixels:
    """Squash an image to (size, size, 3) RGB, bit for bit as cn_clip's own transform.

    The bicubic resize comes before the RGB conversion, so palette images are resized by
    nearest neighbour and fully transparent pixels turn black: the published models saw it so.
    """
    squared = image.resize((size, size), Image.Resampling.BICUBIC)
    # Pillow warns when it drops a palette's alpha; without this entry it drops the same in silence.
    squared.info.pop("transparency", None)
    return np.array(squared.convert("RGB"))
