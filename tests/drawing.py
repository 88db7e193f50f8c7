"""Small pictures for tests, each seed another."""

import base64
import io

import numpy as np
from PIL import Image


def picture_bytes(seed: int, side: int = 40, form: str = "JPEG") -> bytes:
    """Draw a picture of coloured blocks that no other seed gives."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    picture = Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST)
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()


def picture_line(item_id: object, seed: int, side: int = 40) -> bytes:
    """Write one line of a MUGE picture file; every third picture is a PNG."""
    form = "PNG" if seed % 3 == 0 else "JPEG"
    return f"{item_id}\t".encode() + base64.b64encode(picture_bytes(seed, side, form)) + b"\n"
