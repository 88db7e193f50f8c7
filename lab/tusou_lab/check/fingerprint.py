"""Fingerprints of images: format, size, a digest of the bytes and a perceptual hash."""

import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import numpy as np
from PIL import Image

from tusou.core.lazy_import import extras_named
from tusou.images.preprocess import open_image

with extras_named("lab"):
    import imagehash

HASH_BYTES, THUMBNAIL_SIDE = 32, 8
_DIGEST_BYTES = 16
# 16 x 16 low frequencies of 32 x 32 pixels: one bit each.
_HASH_SIDE, _FREQUENCY_FACTOR = 16, 2
# Large images are first averaged down to at least this side, which is faster than one resize.
_REDUCED_SIDE = 128
# The fields of a fingerprint, in order.
_PACKED = struct.Struct(f"<8s8sII{_DIGEST_BYTES}s{HASH_BYTES}s{3 * THUMBNAIL_SIDE**2}s")


@dataclass(frozen=True, slots=True)
class ImageFingerprint:
    """The facts about a readable image that checks need."""

    format: str  # JPEG, PNG, WEBP
    mode: str
    width: int
    height: int
    digest: bytes  # 16 bytes, of the file
    perceptual_hash: bytes  # HASH_BYTES bytes, the coarsest vertical frequencies first
    thumbnail: bytes  # THUMBNAIL_SIDE x THUMBNAIL_SIDE RGB pixels

    def pack(self) -> bytes:
        """Return the fingerprint as bytes."""
        names = self.format.encode(), self.mode.encode()
        hashes = self.digest, self.perceptual_hash, self.thumbnail
        return _PACKED.pack(*names, self.width, self.height, *hashes)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the fingerprint that `pack` packed."""
        image_format, mode, *values = _PACKED.unpack(packed)
        return cls(image_format.rstrip(b"\0").decode(), mode.rstrip(b"\0").decode(), *values)


def fingerprint_image(data: bytes) -> ImageFingerprint:
    """Decode an image file and return its fingerprint; BadImage if it cannot be decoded."""
    image = open_image(data)
    image_format, mode = image.format or "", image.mode
    flat = _flatten(image)
    flat = flat.reduce(max(1, min(flat.size) // _REDUCED_SIDE))
    thumbnail = flat.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    bits = imagehash.phash(flat, _HASH_SIDE, _FREQUENCY_FACTOR).hash
    return ImageFingerprint(
        image_format,
        mode,
        *image.size,
        blake2b(data, digest_size=_DIGEST_BYTES).digest(),
        np.packbits(bits).tobytes(),
        thumbnail.tobytes(),
    )


def _flatten(image: Image.Image) -> Image.Image:
    """Return an image as RGB, its transparent parts on white as on a shop's page."""
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image.convert("RGB")
    transparent = image.convert("RGBA")
    background = Image.new("RGBA", transparent.size, "white")
    return Image.alpha_composite(background, transparent).convert("RGB")
