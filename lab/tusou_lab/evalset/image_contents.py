"""Digests of the images of a pool, by which equal ones are recognised."""

from tusou.bundle.bundle import Bundle
from tusou.bundle.content import (
    CONTENT,
    ContentDigests,
    content_digest,
    read_content_digests,
)
from tusou.core.errors import BadImage, NoImage


class ImageContents:
    """The digests of a bundle's images: those that it stores, or of the files."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._stored: ContentDigests | None = None
        if CONTENT in bundle.manifest.files:
            self._stored = read_content_digests(bundle.path(CONTENT), bundle.item_count)
        self._read: dict[str, str] = {}

    def of(self, item: str) -> str:
        """Return the digest of an item's image, in hexadecimal; its own name without an image."""
        if item not in self._read:
            self._read[item] = self._digest(item)
        return self._read[item]

    def _digest(self, item: str) -> str:
        if self._stored is not None:
            stored: bytes = self._stored[self._bundle.key(item)].tobytes()
            return stored.hex()
        try:
            data, _ = self._bundle.image(item)
        except (BadImage, NoImage):
            return f"item {item}"
        return content_digest(data).hex()
