"""Colour modes of images, and their conversion to 8 bits per channel."""

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from tusou.core.errors import BadImage

# The modes that Pillow converts to RGB as a viewer would show them.
_EIGHT_BITS = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
)
_SIXTEEN_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
# Floats, signed and 32-bit integers: the file does not say which value is white.
_UNKNOWN_RANGE = frozenset({"I", "F"})

_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert an image to 8 bits per channel; BadImage if its values cannot be interpreted.

    16-bit values keep their high byte, as in Pillow's own reading of 16-bit colour images. An image
    of 8 bits is returned as it is.
    """
    if image.mode in _EIGHT_BITS:
        return image
    if image.mode in _UNKNOWN_RANGE:
        raise BadImage("grey image of 32 bits or signed values, whose white is unknown")
    if image.mode not in _SIXTEEN_BITS:
        raise BadImage(f"colour mode {image.mode} is not read")
    bits, inverted = 16, False
    if isinstance(image, TiffImageFile):  # Pillow applies neither of the two tags
        bits = image.tag_v2.get(_TIFF_BITS, (16,))[0]
        inverted = image.tag_v2.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    values = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
    converted = Image.fromarray(~values if inverted else values)
    converted.format, converted.info = image.format, dict(image.info)
    # A transparent value of 16 bits would make other values transparent here.
    converted.info.pop("transparency", None)
    return converted
