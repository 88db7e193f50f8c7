"""Fingerprints of images: format, size, a digest of the bytes and a thumbnail."""

import struct
import warnings
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from PIL import Image

from tusou.images.preparation import find_turn, is_transparent, put_on_white
from tusou.images.preprocess import open_image

THUMBNAIL_SIDE = 24
_DIGEST_BYTES = 16
_WARNING_BYTES = 80
# Large images are first averaged down to at least this side, which is faster than one resize.
_REDUCED_SIDE = 128
# The fields of a fingerprint, in order.
_PACKED = struct.Struct(f"<8s8s{_WARNING_BYTES}sII??{_DIGEST_BYTES}s{3 * THUMBNAIL_SIDE**2}s")


@dataclass(frozen=True, slots=True)
class ImageFingerprint:
    """The facts about a readable image that checks need."""

    format: str  # its name in Pillow
    mode: str
    warning: str  # of a library, shortened; empty if there was none
    width: int
    height: int
    turned: bool  # EXIF says that it is stored turned or mirrored
    transparent: bool
    digest: bytes  # 16 bytes, of the file
    thumbnail: bytes  # THUMBNAIL_SIDE x THUMBNAIL_SIDE RGB pixels

    def pack(self) -> bytes:
        """Return the fingerprint as bytes."""
        texts = self.format.encode(), self.mode.encode(), self.warning.encode()
        facts = self.width, self.height, self.turned, self.transparent
        return _PACKED.pack(*texts, *facts, self.digest, self.thumbnail)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the fingerprint that `pack` packed."""
        *texts, width, height, turned, transparent, digest, thumbnail = _PACKED.unpack(packed)
        image_format, mode, warning = (text.rstrip(b"\0").decode() for text in texts)
        facts = width, height, turned, transparent
        return cls(image_format, mode, warning, *facts, digest, thumbnail)


def fingerprint_image(data: bytes) -> ImageFingerprint:
    """Decode an image file and return its fingerprint; BadImage if it cannot be decoded.

    Not safe for several threads: it collects the libraries' warnings.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = open_image(data)
        turned = find_turn(image) is not None
    warning = str(caught[0].message) if caught else ""
    image_format, mode = image.format or "", image.mode
    flat = _flatten(image)
    flat = flat.reduce(max(1, min(flat.size) // _REDUCED_SIDE))
    thumbnail = flat.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return ImageFingerprint(
        image_format,
        mode,
        _cut(warning),
        *image.size,
        turned,
        is_transparent(image),
        blake2b(data, digest_size=_DIGEST_BYTES).digest(),
        thumbnail.tobytes(),
    )


def _cut(warning: str) -> str:
    """Return a warning in printable ASCII, short enough to be packed."""
    words = " ".join(warning.split()).encode("ascii", "replace").decode()
    return words[:_WARNING_BYTES]


def _flatten(image: Image.Image) -> Image.Image:
    """Return an image as RGB, its transparent parts on white as on a shop's page."""
    if image.has_transparency_data:
        return put_on_white(image.convert("RGBA"))
    return image.convert("RGB")
