"""What one image is: format and size, a digest of its bytes, a fingerprint of its looks."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from PIL import Image

from tusou.images.preprocess import open_image

HASH_BYTES, SMALL_SIDE = 32, 8
_SIDE = 32
_KEPT = 16  # frequencies each way
_NOISE = 24.0  # what re-encoding does to a frequency that is not there


@dataclass(frozen=True, slots=True)
class Looks:
    """What is kept of an image that can be used."""

    form: str  # JPEG, PNG, WEBP
    mode: str
    width: int
    height: int
    digest: bytes  # 16 bytes, of the file's bytes
    hashed: bytes  # 256 bits: is a low frequency of its grey above the median
    small: bytes  # 8 x 8 pixels RGB


def look_at(data: bytes) -> Looks:
    """Decode an image; BadImage says why one cannot be used."""
    image = open_image(data)
    form, mode = image.format or "", image.mode
    tiny = _flat(image).resize((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    small = tiny.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BOX)
    return Looks(
        form,
        mode,
        *image.size,
        blake2b(data, digest_size=16).digest(),
        _hash(np.asarray(tiny.convert("L"), np.float32)),
        small.tobytes(),
    )


def _flat(image: Image.Image) -> Image.Image:
    """Lay an image on white, as a shop's page shows it."""
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    ground = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(ground, clear).convert("RGB")


def _cosines() -> npt.NDArray[np.float32]:
    places = np.arange(_SIDE) + 0.5
    return np.cos(np.pi / _SIDE * np.outer(np.arange(_KEPT), places)).astype(np.float32)


_COSINES = _cosines()


def _hash(grey: npt.NDArray[np.float32]) -> bytes:
    """Hash as `pHash` does: which low frequencies are above their median; the mean is left out."""
    low = (_COSINES @ grey @ _COSINES.T).ravel()
    low[0] = 0.0
    return np.packbits(low > np.median(low) + _NOISE).tobytes()
