"""Random changes of images that leave a query correct for them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tusou.core.arrays import Pixels

Flags = NDArray[np.bool_]
# Takes images (n, side, side, 3), random numbers, and which images may be mirrored.
ImagePolicy = Callable[[Pixels, np.random.Generator, Flags], Pixels]

_SHIFT = 16  # up to 1 / 16 of the side
_CROP_AREA = 0.6, 1.0  # share of the area that is kept
_CROP_LOG_RATIO = -0.22, 0.22  # logarithm of width to height of the part
_LIGHT = 0.8, 1.2  # factors of brightness, contrast and saturation
_CUT_OUT = 0.1, 0.35  # of the side
_CUT_OUT_SHARE = 0.5  # of the images
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def augment_images(
    pixels: Pixels,
    rng: np.random.Generator,
    policies: Sequence[str],
    may_flip: Flags | None = None,
) -> Pixels:
    """Apply the named policies to images (n, side, side, 3), by default all of which may flip."""
    flags = np.ones(len(pixels), np.bool_) if may_flip is None else may_flip
    for name in policies:
        pixels = IMAGE_POLICIES[name](pixels, rng, flags)
    return pixels


def _crop(pixels: Pixels, rng: np.random.Generator, _: Flags) -> Pixels:
    """Resize a random part of each image to the whole."""
    side = pixels.shape[1]
    areas = rng.uniform(*_CROP_AREA, len(pixels))
    ratios = np.exp(rng.uniform(*_CROP_LOG_RATIO, len(pixels)))
    places = rng.random((len(pixels), 2))
    cropped = np.empty_like(pixels)
    for row, (area, ratio, (x, y)) in enumerate(zip(areas, ratios, places, strict=True)):
        width, height = (
            min(side, side * np.sqrt(area * ratio)),
            min(side, side * np.sqrt(area / ratio)),
        )
        left, top = x * (side - width), y * (side - height)
        box = (float(left), float(top), float(left + width), float(top + height))
        image = Image.fromarray(np.asarray(pixels[row]))
        resized = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
        cropped[row] = np.asarray(resized)
    return cropped


def _shift(pixels: Pixels, rng: np.random.Generator, _: Flags) -> Pixels:
    """Shift each image by up to a sixteenth of its side; the border is repeated."""
    reach = pixels.shape[1] // _SHIFT
    shifts = rng.integers(-reach, reach + 1, (len(pixels), 2))
    positions = np.arange(pixels.shape[1])
    shifted = np.empty_like(pixels)
    for row, (down, right) in enumerate(shifts.tolist()):
        y = (positions + down).clip(0, positions[-1])
        x = (positions + right).clip(0, positions[-1])
        shifted[row] = pixels[row][y[:, None], x]
    return shifted


def _flip(pixels: Pixels, rng: np.random.Generator, may_flip: Flags) -> Pixels:
    """Mirror half of the images that may be."""
    mirrored = (rng.random(len(pixels)) < 0.5) & may_flip
    flipped: Pixels = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
    return flipped


def _colour(pixels: Pixels, rng: np.random.Generator, _: Flags) -> Pixels:
    """Change brightness, contrast and saturation; the hue stays, since queries name colours."""
    brightness, contrast, saturation = rng.uniform(*_LIGHT, (3, len(pixels), 1, 1, 1)).astype(
        np.float32
    )
    changed = pixels.astype(np.float32) * brightness
    mean = (changed @ _LUMA).mean(axis=(1, 2))[:, None, None, None]
    changed = mean + (changed - mean) * contrast
    grey = (changed @ _LUMA)[..., None]
    changed = grey + (changed - grey) * saturation
    rounded: Pixels = changed.round().clip(0, 255).astype(np.uint8)
    return rounded


def _cut_out(pixels: Pixels, rng: np.random.Generator, _: Flags) -> Pixels:
    """Cover a rectangle of half of the images with their mean colour."""
    side = pixels.shape[1]
    covered = rng.random(len(pixels)) < _CUT_OUT_SHARE
    sizes = (rng.uniform(*_CUT_OUT, (len(pixels), 2)) * side).astype(np.int64)
    places = rng.random((len(pixels), 2))
    cut = np.array(pixels)
    for row in np.flatnonzero(covered):
        height, width = sizes[row]
        top, left = (places[row] * (side - sizes[row])).astype(np.int64)
        cut[row, top : top + height, left : left + width] = pixels[row].mean(axis=(0, 1))
    return cut


# In the order in which they are applied.
IMAGE_POLICIES: dict[str, ImagePolicy] = {
    "crop": _crop,
    "shift": _shift,
    "flip": _flip,
    "colour": _colour,
    "cut-out": _cut_out,
}
