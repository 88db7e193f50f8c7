"""Digests of the images of a pool, by which equal ones are recognised."""

from collections.abc import Iterable

from tusou.bundle.bundle import Bundle
from tusou.bundle.content import (
    CONTENT,
    ContentDigests,
    content_digest,
    read_content_digests,
)
from tusou.core.errors import BadImage, NoImage
from tusou.core.ids import ItemId


class ImageContents:
    """The digests of a bundle's images: those that it stores, or of the files."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._stored: ContentDigests | None = None
        if CONTENT in bundle.manifest.files:
            self._stored = read_content_digests(bundle.path(CONTENT), bundle.item_count)
        self._read: dict[str, str | None] = {}

    def of(self, item: str) -> str:
        """Return the digest of an item's image, in hexadecimal; its own name without an image."""
        return self.find(item) or f"item {item}"

    def find(self, item: str) -> str | None:
        """Return the digest of an item's image, in hexadecimal; None without an image."""
        if item not in self._read:
            self._read[item] = self._digest(item)
        return self._read[item]

    def _digest(self, item: str) -> str | None:
        if self._stored is not None:
            stored: bytes = self._stored[self._bundle.key(item)].tobytes()
            return stored.hex()
        try:
            data, _ = self._bundle.image(item)
        except (BadImage, NoImage):
            return None
        return content_digest(data).hex()


def find_other_image(first: Bundle, second: Bundle, items: Iterable[ItemId]) -> ItemId | None:
    """Return an item that has another image in either bundle; None if all are equal.

    Items that only one of them holds, or without an image, are not compared.
    """
    ours, theirs = ImageContents(first), ImageContents(second)
    for item in items:
        name = str(item)
        if first.ids.key(name) is None or second.ids.key(name) is None:
            continue
        images = ours.find(name), theirs.find(name)
        if None not in images and images[0] != images[1]:
            return item
    return None
