"""The transform that makes an image the square that an image tower reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, Self, TypeAlias

import numpy as np

from tusou.core.arrays import Pixels

Fit: TypeAlias = Literal["squash", "crop"]
Interpolation: TypeAlias = Literal["bicubic", "bilinear", "lanczos", "nearest"]


@dataclass(frozen=True, slots=True)
class ImageTransform:
    """Resize and crop of an image to `side` pixels; the defaults are cn_clip's.

    `squash` resizes both sides without regard to their proportion. `crop` resizes the shorter side
    to `shorter_side` and cuts out the middle.
    """

    side: int
    fit: Fit = "squash"
    shorter_side: int | None = None  # of `crop`, where it is not `side`
    interpolation: Interpolation = "bicubic"
    # cn_clip and open_clip resize before the conversion to RGB, transformers after it.
    rgb_first: bool = False
    # Half a pixel of margin before a crop: open_clip rounds it to the even number, and
    # transformers drops it.
    round_crop: bool = False

    def resized(self, side: int) -> Self:
        """Return the same transform to another side, with a margin in proportion."""
        shorter = self.shorter_side and round(self.shorter_side * side / self.side)
        return replace(self, side=side, shorter_side=shorter)

    def scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height that an image is resized to, before any crop."""
        if self.fit == "squash":
            return self.side, self.side
        shorter = self.shorter_side or self.side
        if width <= height:
            return shorter, int(shorter * height / width)
        return int(shorter * width / height), shorter

    def crop_start(self, length: int) -> int:
        """Return where the crop begins along a side of this many pixels."""
        margin = (length - self.side) / 2
        return round(margin) if self.round_crop else int(margin)


# The transform of a model's images; of several models, their different transforms.
Transforms: TypeAlias = ImageTransform | tuple[ImageTransform, ...]


def join_transforms(transforms: Sequence[ImageTransform]) -> Transforms:
    """Return the transforms of several models' images, each once."""
    different = tuple(dict.fromkeys(transforms))
    return different[0] if len(different) == 1 else different


def as_transforms(transforms: Transforms) -> tuple[ImageTransform, ...]:
    """Return the different transforms as a tuple."""
    return (transforms,) if isinstance(transforms, ImageTransform) else transforms


def pixel_shape(transforms: Transforms) -> tuple[int, int, int]:
    """Return the shape of one transformed image: height, width and 3.

    The squares of several transforms stand side by side.
    """
    sides = [transform.side for transform in as_transforms(transforms)]
    return max(sides), sum(sides), 3


def split_pixels(pixels: Pixels, transforms: Transforms) -> dict[ImageTransform, Pixels]:
    """Return the images of `to_pixels` by transform, each (n, side, side, 3)."""
    if isinstance(transforms, ImageTransform):
        return {transforms: pixels}
    starts = accumulate((transform.side for transform in transforms), initial=0)
    return {
        transform: np.ascontiguousarray(pixels[:, : transform.side, start : start + transform.side])
        for transform, start in zip(transforms, starts, strict=False)
    }
