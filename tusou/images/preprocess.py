"""Decoding of untrusted image bytes into the pixels that an image tower reads."""

from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from tusou.core.arrays import Pixels
from tusou.core.errors import BadImage
from tusou.images.formats import check_image_size

# cn_clip's normalisation of each channel, on the scale from 0 to 1.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

MAX_IMAGE_PIXELS = 16_000_000
MAX_IMAGE_SIDE = 8192

# Pillow opens over forty formats; every parser is one more that untrusted bytes can attack.
_FORMATS = ("JPEG", "PNG", "WEBP")
_TOO_LONG = f"image side over {MAX_IMAGE_SIDE} pixels"


def open_image(data: bytes) -> Image.Image:
    """Decode a JPEG, PNG or WebP image; decompression bombs are refused by their header.

    The first frame of an animation is taken and EXIF orientation is ignored, as in cn_clip.
    Raises BadImage with the fault as a short phrase.
    """
    check_image_size(len(data))
    image: Image.Image | None = None
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
        _check_dimensions(image)
        image.load()
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise BadImage("not a readable JPEG, PNG or WebP image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(_TOO_LONG) from None  # no image of that many pixels has short sides
    except Exception as error:  # Pillow's parsers and decoders raise anything on hostile bytes
        if image is None:
            raise BadImage("broken image header") from error
        truncated = "truncated" in str(error).lower()
        raise BadImage("truncated image" if truncated else "broken image") from error
    return image


def _check_dimensions(image: Image.Image) -> None:
    if min(image.size) < 1:
        raise BadImage("image without pixels")
    if max(image.size) > MAX_IMAGE_SIDE:
        raise BadImage(_TOO_LONG)
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise BadImage(f"image over {MAX_IMAGE_PIXELS // 1_000_000} megapixels")


def to_pixels(image: Image.Image, size: int) -> Pixels:
    """Resize an image to (size, size, 3) RGB, bit for bit as cn_clip's own transform.

    The bicubic resize comes before the RGB conversion, so palette images are resized by nearest
    neighbour and fully transparent pixels turn black, as in the training of the published models.
    """
    squared = image.resize((size, size), Image.Resampling.BICUBIC)
    # Without this entry Pillow drops a palette's alpha without a warning.
    squared.info.pop("transparency", None)
    return np.array(squared.convert("RGB"))
