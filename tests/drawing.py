"""Small images for tests, a different one for each seed."""

import base64
import io

import numpy as np
from PIL import Image


def image_bytes(seed: int, side: int = 40, form: str = "JPEG") -> bytes:
    """Return an image of random coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def image_line(item_id: object, seed: int, side: int = 40) -> bytes:
    """Return one line of a MUGE image file; every third image is a PNG."""
    form = "PNG" if seed % 3 == 0 else "JPEG"
    return f"{item_id}\t".encode() + base64.b64encode(image_bytes(seed, side, form)) + b"\n"
