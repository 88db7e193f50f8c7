"""Thumbnails of the images of a bundle."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from tusou.bundle.bundle import Bundle
from tusou.core.errors import BadImage, UnknownItem
from tusou.core.ids import ItemId
from tusou.images.preprocess import open_image

_SIDE = 132  # pixels: twice the displayed size, for high-density screens
_QUALITY = 72


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small WebP."""

    data: bytes

    @property
    def uri(self) -> str:
        """The image as a data URI."""
        return f"data:image/webp;base64,{b64encode(self.data).decode()}"

    @property
    def file_name(self) -> str:
        """A file name derived from the content."""
        return f"{hashlib.sha256(self.data).hexdigest()[:12]}.webp"


class ThumbnailCache:
    """Thumbnails of items by id, each made once."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self._bundles = [bundle for bundle in bundles if bundle.items == "images"]
        self._thumbnails: dict[str, Thumbnail | None] = {}

    @property
    def has_images(self) -> bool:
        """Whether any bundle holds images."""
        return bool(self._bundles)

    def find(self, item_id: ItemId) -> Thumbnail | None:
        """Return the thumbnail of an item; None if its image can no longer be read."""
        name = str(item_id)
        if name not in self._thumbnails:
            self._thumbnails[name] = self._make(name)
        return self._thumbnails[name]

    def _make(self, item_id: str) -> Thumbnail | None:
        for bundle in self._bundles:
            try:
                data, _ = bundle.image(item_id)
                return _shrink(open_image(data))
            except (UnknownItem, BadImage):
                continue
        return None


def _shrink(image: Image.Image) -> Thumbnail:
    small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    data = BytesIO()
    small.save(data, "WEBP", quality=_QUALITY, method=4)
    return Thumbnail(data.getvalue())
