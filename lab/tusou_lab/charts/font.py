"""The glyphs that a text needs, cut from an open font: Noto Sans CJK SC, under the OFL 1.1.

The font comes with the `lab` extra as a package of its own; nothing is asked of the system. The
cut bears a name of ours, lest a browser or matplotlib mistake it for the whole font.
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
_SIMPLIFIED = 2  # the collection's third face; the others prefer shapes of other countries
_REGULAR = 400
_LATIN = "".join(map(chr, range(0x20, 0x7F)))
# What only vertical text and fine typography need.
_LEFT_OUT = ("BASE", "GPOS", "GSUB", "VORG", "VVAR", "vhea", "vmtx")


def web_font(text: str) -> bytes:
    """Give a WOFF with every weight of the characters of `text`, and of ASCII."""
    with _cut(text) as font:
        font.flavor = "woff"
        return _bytes(font)


@contextmanager
def font_file(text: str) -> Iterator[Path]:
    """Lend an OpenType file of regular weight with the characters of `text`, and ASCII."""
    with _cut(text) as font, TemporaryDirectory() as folder:
        # Subset and instancer disagree on what is loaded: a fresh copy is read by both.
        copy = TTFont(BytesIO(_bytes(font)))
        regular = instantiateVariableFont(copy, {"wght": _REGULAR})
        path = Path(folder) / "regular.otf"
        regular.save(path)
        yield path


@contextmanager
def _cut(text: str) -> Iterator[TTFont]:
    options = Options()
    options.hinting = False
    options.notdef_outline = True
    options.drop_tables += list(_LEFT_OUT)
    with TTFont(_whole_font(), fontNumber=_SIMPLIFIED, lazy=True) as font:
        subsetter = Subsetter(options)
        subsetter.populate(text=_LATIN + text)
        subsetter.subset(font)
        for record in font["name"].names:
            if record.nameID in {1, 4, 16}:
                record.string = FAMILY
        yield font


def _whole_font() -> Path:
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise MissingDependency("a report needs a font with Chinese glyphs: install tusou[lab]")
    return Path(package.origin).parent / _FILE


def _bytes(font: TTFont) -> bytes:
    held = BytesIO()
    font.save(held)
    return held.getvalue()
