"""Views of an image whose vectors are averaged: its mirror image, and five crops."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from tusou.core.arrays import Pixels
from tusou.core.errors import InvalidRequest

_NAMES = ("flip", "five_crops")
# A crop has seven eighths of the side, as 224 of 256 pixels.
_CROP_NUMERATOR, _CROP_DENOMINATOR = 7, 8


@dataclass(frozen=True, slots=True)
class Views:
    """The views of an image: mirrored beside unmirrored, crops in place of the whole image."""

    flip: bool = False
    five_crops: bool = False

    @classmethod
    def parse(cls, names: str) -> Self:
        """Parse `none`, `flip`, `five_crops` or `flip,five_crops`; InvalidRequest."""
        given = [] if names == "none" else names.split(",")
        if unknown := sorted(set(given).difference(_NAMES)):
            raise InvalidRequest(
                f"--views {names!r}: {unknown[0]!r} is unknown; "
                f"give none, {' or '.join(_NAMES)}, or both with a comma"
            )
        return cls(*(name in given for name in _NAMES))

    def __str__(self) -> str:
        return ",".join(name for name in _NAMES if getattr(self, name)) or "none"

    def __bool__(self) -> bool:
        return self.flip or self.five_crops

    def decoded_size(self, size: int) -> int:
        """Return the side of the images to decode, for views of `size` pixels."""
        return round(size * _CROP_DENOMINATOR / _CROP_NUMERATOR) if self.five_crops else size

    def cut(self, pixels: Pixels, size: int) -> Iterator[Pixels]:
        """Yield each view of decoded images, (n, size, size, 3), C-contiguous."""
        side = pixels.shape[1]
        starts = [(0, 0)]
        if self.five_crops:
            end, middle = side - size, (side - size) // 2
            starts = [(0, 0), (0, end), (end, 0), (end, end), (middle, middle)]
        for top, left in starts:
            view = pixels[:, top : top + size, left : left + size]
            yield np.ascontiguousarray(view)
            if self.flip:
                yield np.ascontiguousarray(view[:, :, ::-1])
