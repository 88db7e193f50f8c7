"""Decoding of untrusted image bytes into the pixels that an image tower reads."""

import math
import re
from io import BytesIO
from typing import TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from tusou.core.arrays import Pixels
from tusou.core.errors import BadImage
from tusou.images.color_modes import to_eight_bits
from tusou.images.formats import HEIC, JPEG_XL, ImageFormat, check_image_size, find_format
from tusou.images.part_limits import check_parts
from tusou.images.preparation import AS_STORED, Preparation, put_on_white, turn_upright
from tusou.images.transform import ImageTransform, Transforms, pixel_shape

Channels: TypeAlias = tuple[float, float, float]

# cn_clip's normalisation of each channel, on the scale from 0 to 1.
MEAN: Channels = (0.48145466, 0.4578275, 0.40821073)
STD: Channels = (0.26862954, 0.26130258, 0.27577711)

MEGAPIXEL = 1_000_000
MAX_MEGAPIXELS = 64
MAX_IMAGE_SIDE = 65_535  # as in JPEG; a long image costs no more than a square one
# Pixels that an image is resized to before its middle is cut out. A longer strip is cut out first.
_MAX_RESIZED = 16 * MEGAPIXEL


def open_image(data: bytes, max_megapixels: int = MAX_MEGAPIXELS) -> Image.Image:
    """Decode the first frame of an image of any format in `IMAGE_FORMATS`, to 8 bits per channel.

    The format is found in the bytes. Decompression bombs are refused by their header. EXIF
    orientation is ignored, as in cn_clip. Raises BadImage with the fault as a short phrase.
    """
    check_image_size(len(data))
    image_format = find_format(data)
    if image_format is None:
        raise BadImage("not a readable image")
    _check_readable(image_format)
    check_parts(image_format, data)
    image: Image.Image | None = None
    try:
        # Pillow opens over forty formats, and each parser adds to the attack surface.
        image = Image.open(BytesIO(data), formats=[image_format.name])
        _check_dimensions(image, max_megapixels)
        image.load()
    except BadImage:
        raise
    except (UnidentifiedImageError, SyntaxError):
        raise BadImage("broken image header") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow's own limit applies before the size is known.
        pixels = re.search(r"\d+", str(error))
        raise _too_many_pixels(int(pixels[0]) if pixels else 0, max_megapixels) from None
    except MemoryError:
        raise BadImage("image needs too much memory") from None
    except Exception as error:  # Pillow's parsers and decoders raise anything on hostile bytes
        if image is None:
            raise BadImage("broken image header") from error
        truncated = "truncated" in str(error).lower()
        raise BadImage("truncated image" if truncated else "broken image") from error
    return to_eight_bits(image)


def _check_readable(image_format: ImageFormat) -> None:
    """Raise BadImage, which says what to do, for a format that Pillow does not read here."""
    if image_format is JPEG_XL:
        raise BadImage("JPEG XL is not read; convert it to JPEG or PNG")
    if image_format is HEIC:
        try:
            from pillow_heif import register_heif_opener  # noqa: PLC0415 - an extra
        except ImportError:
            raise BadImage("HEIC: pip install 'tusou[heif]'") from None
        register_heif_opener(thumbnails=False, decode_threads=1)


def _check_dimensions(image: Image.Image, max_megapixels: int) -> None:
    width, height = image.size
    if min(image.size) < 1:
        raise BadImage("image without pixels")
    if max(image.size) > MAX_IMAGE_SIDE:
        raise BadImage(f"image side over {MAX_IMAGE_SIDE} pixels")
    if width * height > max_megapixels * MEGAPIXEL:
        raise _too_many_pixels(width * height, max_megapixels)


def _too_many_pixels(pixels: int, max_megapixels: int) -> BadImage:
    megapixels = math.ceil(pixels / MEGAPIXEL * 10) / 10  # rounded up, so above the limit
    return BadImage(f"image of {megapixels:.1f} megapixels, over the limit of {max_megapixels}")


def to_pixels(
    image: Image.Image, transforms: Transforms, preparation: Preparation = AS_STORED
) -> Pixels:
    """Transform an image to RGB of `pixel_shape`.

    cn_clip's transform is its own bit for bit: the bicubic resize comes before the RGB conversion,
    so palette images are resized by nearest neighbour and fully transparent pixels turn black, as
    in the training of the published models.
    A preparation changes images that are turned or transparent, and no others.
    """
    if isinstance(transforms, ImageTransform):
        return _transform(image, transforms, preparation)
    pixels = np.zeros(pixel_shape(transforms), np.uint8)
    start = 0
    for transform in transforms:
        end = start + transform.side
        pixels[: transform.side, start:end] = _transform(image, transform, preparation)
        start = end
    return pixels


def _transform(image: Image.Image, transform: ImageTransform, preparation: Preparation) -> Pixels:
    if preparation.upright:
        image = turn_upright(image)
    transparent = preparation.white and image.has_transparency_data
    if transparent:
        image = image.convert("RGBA")
    elif transform.rgb_first:
        image = _to_rgb(image)
    image = _resize(image, transform)
    if transparent:
        image = put_on_white(image)
    return np.array(_to_rgb(image))


def _resize(image: Image.Image, transform: ImageTransform) -> Image.Image:
    """Resize an image, and cut the square out of its middle if the transform crops."""
    size, side = transform.scaled_size(*image.size), transform.side
    filter_ = Image.Resampling[transform.interpolation.upper()]
    if size == (side, side):
        return image.resize(size, filter_)
    left, top = map(transform.crop_start, size)
    square = left, top, left + side, top + side
    if math.prod(size) > _MAX_RESIZED:  # the same pixels, up to rounding
        return image.resize((side, side), filter_, _in_source(square, size, image.size))
    return image.resize(size, filter_).crop(square)


def _in_source(
    box: tuple[int, int, int, int], resized: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return the part of an image of `size` that becomes a box of the resized image."""
    scales = [given / made for given, made in zip(size, resized, strict=True)]
    left, top, right, bottom = (side * scales[number % 2] for number, side in enumerate(box))
    return left, top, min(right, size[0]), min(bottom, size[1])


def _to_rgb(image: Image.Image) -> Image.Image:
    if "transparency" in image.info:  # without this entry Pillow drops alpha without a warning
        image = image.copy()
        del image.info["transparency"]
    return image.convert("RGB")
