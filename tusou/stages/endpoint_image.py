"""Small images for requests to a model: JPEG in a data URI."""

from base64 import b64encode
from io import BytesIO

from PIL import Image

from tusou.images.preparation import put_on_white, turn_upright
from tusou.images.preprocess import open_image

_QUALITY = 85


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
