"""Charts draw their text as paths; fonts are reduced to the characters they need."""

import re
from io import BytesIO

import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from tusou_lab.charts.font import FAMILY, web_font
from tusou_lab.charts.plots import ChartBar, bar_chart, draw_svgs, flow_chart, line_chart


def draw_all() -> list[str]:
    lines = {"hit@1": [(80.0, 70.0, 90.0), (60.0, 50.0, 70.0)]}
    bars = [ChartBar("很短", 50.0, "3", (40.0, 60.0)), ChartBar("长", 20.0)]
    return draw_svgs(
        [
            line_chart("图库大小", "%", (10.0, 100.0), lines),
            bar_chart("mean_recall (%)", bars, reference=35.0),
            flow_chart((("图片", "编码"), ("查询", "编码")), ("检索", "评估")),
        ]
    )


@pytest.fixture(scope="module")
def svgs() -> list[str]:
    before = list(font_manager.fontManager.ttflist)
    svgs = draw_all()  # a missing glyph is a warning, and warnings are errors
    assert font_manager.fontManager.ttflist == before
    return svgs


def test_text_is_drawn_as_paths(svgs: list[str]) -> None:
    for svg in svgs:
        assert svg.startswith("<svg")
        assert not re.search(r"<text|font-family|@font-face|<metadata", svg)
        assert set(re.findall("https?://[^/]+", svg)) == {"http://www.w3.org"}


def test_a_chart_is_reproducible(svgs: list[str]) -> None:
    assert draw_all() == svgs


def test_a_web_font_holds_the_text_and_ascii() -> None:
    with TTFont(BytesIO(web_font("图搜图"))) as font:
        assert font.flavor == "woff"
        assert set(font.getBestCmap()) == {*range(0x20, 0x7F), ord("图"), ord("搜")}
        assert font["name"].getDebugName(1) == FAMILY
        assert [axis.axisTag for axis in font["fvar"].axes] == ["wght"]
