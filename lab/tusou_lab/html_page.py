"""Parts of HTML pages that need no network: templates, the font, and thumbnails."""

from base64 import b64encode
from functools import partial
from io import BytesIO

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from PIL import Image

from tusou_lab.charts.font import FAMILY, web_font

_SIDE = 132  # pixels: twice the displayed size, for high-density screens
_QUALITY = 72


def open_templates(*packages: str) -> Environment:
    """Return the templates of packages; HTML is escaped, and unknown names are errors."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=select_autoescape(("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_page(templates: Environment, name: str, **context: object) -> bytes:
    """Return a page with a font, which the template takes as `family` and `font` (base64 WOFF)."""
    page = partial(templates.get_template(name).render, family=FAMILY, **context)
    # Rendered twice: the font is part of the page, and holds the characters that it shows.
    font = b64encode(web_font("".join(sorted(set(page(font="")))))).decode()
    return page(font=font).encode()


def shrink(image: Image.Image) -> bytes:
    """Shrink an image in place and return it as WebP."""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    data = BytesIO()
    image.save(data, "WEBP", quality=_QUALITY)
    return data.getvalue()


def data_uri(thumbnail: bytes) -> str:
    """Return the URI of a thumbnail that is part of a page."""
    return f"data:image/webp;base64,{b64encode(thumbnail).decode()}"
