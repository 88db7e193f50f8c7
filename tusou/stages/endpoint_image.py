"""Small images for requests to a model: JPEG in a data URI."""

import threading
from base64 import b64encode
from collections import OrderedDict
from io import BytesIO

from PIL import Image

from tusou.images.preparation import put_on_white, turn_upright
from tusou.images.preprocess import open_image

_QUALITY = 85


class ImageCache:
    """Data URIs of the images used last, at most `max_bytes` of them; safe to use from threads."""

    def __init__(self, side: int, max_bytes: int) -> None:
        self._side, self._left = side, max_bytes
        self._lock = threading.Lock()
        self._uris: OrderedDict[bytes, str] = OrderedDict()

    def get(self, digest: bytes) -> str | None:
        """Return the data URI of an image, if it is kept."""
        with self._lock:
            if digest in self._uris:
                self._uris.move_to_end(digest)
            return self._uris.get(digest)

    def uri(self, digest: bytes, data: bytes) -> str:
        """Return the data URI of an image, which its digest identifies; BadImage."""
        if (cached := self.get(digest)) is not None:
            return cached
        uri = to_data_uri(data, self._side)
        with self._lock:
            if digest not in self._uris:
                self._uris[digest] = uri
                self._left -= len(uri)
            while self._left < 0:
                _, oldest = self._uris.popitem(last=False)
                self._left += len(oldest)
        return uri


def to_data_uri(data: bytes, side: int) -> str:
    """Return an image with its longer side at most `side` pixels, upright and on white.

    Raises BadImage.
    """
    image = turn_upright(open_image(data))
    transparent = image.has_transparency_data
    image = image.convert("RGBA" if transparent else "RGB")
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    if transparent:
        image = put_on_white(image)
    image.info.clear()  # Pillow would write the original's comment
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{b64encode(buffer.getbuffer()).decode()}"
