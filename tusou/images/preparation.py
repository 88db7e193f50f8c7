"""Optional steps before the resize, which cn_clip does without: upright, and on white."""

import struct
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image

from tusou.core.errors import InvalidRequest

_ORIENTATION = 0x0112
# The transposition that undoes each EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Exceptions of Pillow's EXIF reader for broken data.
_BROKEN_EXIF = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error)
_STEPS = ("upright", "white")


@dataclass(frozen=True, slots=True)
class Preparation:
    """The steps before the resize: turn by EXIF orientation, put white behind transparency."""

    upright: bool = False
    white: bool = False

    @classmethod
    def parse(cls, steps: str) -> Self:
        """Parse `none`, or a list of steps such as `upright,white`; InvalidRequest."""
        names = [] if steps == "none" else steps.split(",")
        if unknown := sorted(set(names).difference(_STEPS)):
            raise InvalidRequest(
                f"--prepare {steps!r}: {unknown[0]!r} is unknown; "
                f"give none, {' or '.join(_STEPS)}, or both with a comma"
            )
        return cls(*(name in names for name in _STEPS))

    def __str__(self) -> str:
        names = [name for name in _STEPS if getattr(self, name)]
        return ",".join(names) or "none"


AS_STORED = Preparation()
FOR_QUERIES = Preparation(upright=True, white=True)


def turn_upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its EXIF orientation says."""
    turn = find_turn(image)
    return image if turn is None else image.transpose(turn)


def find_turn(image: Image.Image) -> Image.Transpose | None:
    """Return the transposition that turns an image upright; None if none is needed or known."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN_EXIF:
        return None


def is_transparent(image: Image.Image) -> bool:
    """Return whether an image has pixels that are not opaque."""
    if not image.has_transparency_data:
        return False
    return bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < 255)


def put_on_white(image: Image.Image) -> Image.Image:
    """Return an RGBA image as RGB on a white background."""
    background = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(background, image).convert("RGB")
