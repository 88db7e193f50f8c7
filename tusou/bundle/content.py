"""Digests of the items' content, by which a later build recognises items it need not encode.

The content of an image is its file, of a text its characters, however the source stores them: an
image has the same digest in a folder, in a tar and as base64. The file is optional: nothing is
served from it.
"""

from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tusou.bundle.array_file import load_array
from tusou.bundle.item_reader import decode_stored_image, decode_stored_text
from tusou.core.ids import Encoding, ItemKind

CONTENT = "content.npy"
DIGEST_BYTES = 16

# (n, 16), one digest a row.
ContentDigests: TypeAlias = npt.NDArray[np.uint8]


def decode_content(stored: bytes, kind: ItemKind, encoding: Encoding) -> bytes:
    """Return an item's content from its stored bytes; BadImage and BadDataset if there is none."""
    if kind == "images":
        return decode_stored_image(stored, encoding)
    return decode_stored_text(stored, encoding).encode(errors="surrogatepass")


def content_digest(content: bytes) -> bytes:
    """Return the digest of an item's content, 16 bytes.

    Two items are taken for equal if their digests are, so a checksum would not do: among 10,000
    images two have the same CRC-32 in one case of a hundred, and anyone can make such a pair.
    """
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def read_content_digests(path: Path, count: int) -> ContentDigests:
    """Read the digests of a version's items in row key order; CorruptBundle."""
    return load_array(path, "|u1", (count, DIGEST_BYTES))
