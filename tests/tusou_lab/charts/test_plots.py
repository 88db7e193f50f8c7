"""Charts carry their letters along; a font is cut to what a text needs."""

import re
from io import BytesIO

import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from tusou_lab.charts.font import FAMILY, web_font
from tusou_lab.charts.plots import Bar, Bars, Flow, Lines, Series, draw

HITS = Series("hit@1", (80.0, 60.0), (70.0, 50.0), (90.0, 70.0))
CHARTS = (
    Lines("图库大小", "%", (10.0, 100.0), (HITS,)),
    Bars("mean_recall (%)", (Bar("很短", 50.0, "3", 40.0, 60.0), Bar("长", 20.0)), reference=35.0),
    Flow((("图片", "编码"), ("查询", "编码")), ("检索", "评估")),
)


@pytest.fixture(scope="module")
def drawn() -> list[str]:
    before = list(font_manager.fontManager.ttflist)
    svgs = draw(CHARTS)  # a glyph that is missing is a warning, and warnings are errors
    assert font_manager.fontManager.ttflist == before
    return svgs


def test_every_letter_is_drawn(drawn: list[str]) -> None:
    for svg in drawn:
        assert svg.startswith("<svg")
        assert not re.search(r"<text|font-family|@font-face|<metadata", svg)
        assert set(re.findall("https?://[^/]+", svg)) == {"http://www.w3.org"}


def test_the_same_chart_is_the_same_bytes(drawn: list[str]) -> None:
    assert draw(CHARTS) == drawn


def test_a_web_font_holds_what_the_text_needs_and_ascii() -> None:
    with TTFont(BytesIO(web_font("图搜图"))) as font:
        assert font.flavor == "woff"
        assert set(font.getBestCmap()) == {*range(0x20, 0x7F), ord("图"), ord("搜")}
        assert font["name"].getDebugName(1) == FAMILY
        assert [axis.axisTag for axis in font["fvar"].axes] == ["wght"]
