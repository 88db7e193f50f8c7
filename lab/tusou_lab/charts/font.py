"""Subsets of Noto Sans CJK SC (OFL 1.1) with the glyphs that a text needs.

The font is installed as a package with the extra `lab`; no system font is used. A subset has a
name of its own, so that a browser or matplotlib does not mistake it for the complete font.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

from tusou.core.errors import MissingDependency

FAMILY = "Tusou Report"

_PACKAGE, _FILE = "manimgx_fonts_cjk", "NotoSansCJK-VF.otf.ttc"
_SIMPLIFIED = (
    2  # index in the collection; the other faces have Japanese, Korean or traditional shapes
)
_REGULAR = 400
_LATIN = "".join(map(chr, range(0x20, 0x7F)))
# Tables for vertical text and fine typography.
_DROPPED_TABLES = ("BASE", "GPOS", "GSUB", "VORG", "VVAR", "vhea", "vmtx")


def web_font(text: str) -> bytes:
    """Return a WOFF with the characters of `text` and of ASCII, in every weight."""
    with _subset(text) as font:
        font.flavor = "woff"
        return _bytes(font)


@contextmanager
def font_file(text: str) -> Iterator[Path]:
    """Yield a temporary OpenType file with the regular glyphs of `text` and ASCII."""
    with _subset(text) as font, TemporaryDirectory() as folder:
        # The instancer fails on tables that the subsetter has left unloaded, so reload the font.
        copy = TTFont(BytesIO(_bytes(font)))
        regular = instantiateVariableFont(copy, {"wght": _REGULAR})
        path = Path(folder) / "regular.otf"
        regular.save(path)
        yield path


@contextmanager
def _subset(text: str) -> Iterator[TTFont]:
    options = Options()
    options.hinting = False
    options.notdef_outline = True
    options.drop_tables += list(_DROPPED_TABLES)
    with TTFont(_font_path(), fontNumber=_SIMPLIFIED, lazy=True) as font:
        subsetter = Subsetter(options)
        subsetter.populate(text=_LATIN + text)
        subsetter.subset(font)
        for record in font["name"].names:
            if record.nameID in {1, 4, 16}:
                record.string = FAMILY
        yield font


def _font_path() -> Path:
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise MissingDependency("charts need a font with Chinese glyphs: install tusou[lab]")
    return Path(package.origin).parent / _FILE


def _bytes(font: TTFont) -> bytes:
    data = BytesIO()
    font.save(data)
    return data.getvalue()
