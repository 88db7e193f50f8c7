"""Small copies of images, from whichever bundle's pool holds them."""

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

_SIDE = 132  # pixels: twice what the page shows, for sharp screens
_QUALITY = 72


@dataclass(frozen=True, slots=True)
class Thumb:
    """A small WebP."""

    data: bytes

    @property
    def uri(self) -> str:
        """Give the image as part of a page."""
        return f"data:image/webp;base64,{b64encode(self.data).decode()}"

    @property
    def file_name(self) -> str:
        """Name a file after the image's content."""
        return f"{hashlib.sha256(self.data).hexdigest()[:12]}.webp"


class Gallery:
    """Finds an item's image, and makes it small, once."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self._bundles = [one for one in bundles if one.items == "images"]
        self._made: dict[str, Thumb | None] = {}

    def __bool__(self) -> bool:
        """Tell whether there is any bundle of images."""
        return bool(self._bundles)

    def thumb(self, item_id: ItemId) -> Thumb | None:
        """Give a small copy; None where no pool holds it any more."""
        name = str(item_id)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, item_id: str) -> Thumb | None:
        for bundle in self._bundles:
            try:
                data, _ = bundle.image(item_id)
                return _small(open_image(data))
            except (UnknownItem, BadImage):
                continue
        return None


def _small(image: Image.Image) -> Thumb:
    shown = image.convert("RGB")
    shown.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    held = BytesIO()
    shown.save(held, "WEBP", quality=_QUALITY, method=4)
    return Thumb(held.getvalue())
