"""Charts as matplotlib figures, and their SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from tusou_lab.charts.font import FAMILY, font_file

# Distinguishable with colour blindness and in print: darker variants of Okabe and Ito's colours.
_COLOURS = ("#0f766e", "#c2410c", "#4338ca", "#a16207", "#be185d", "#475569")
_INK, _FAINT, _GRID = "#1f2937", "#6b7280", "#e5e7eb"
_STYLE: dict[Any, Any] = {  # the names are literals in matplotlib's types
    "font.family": [FAMILY],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "axes.edgecolor": _GRID,
    "axes.unicode_minus": False,
    "text.parse_math": False,  # a `$` of a label is a character
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "svg.fonttype": "path",
    "svg.hashsalt": "tusou",  # the same chart gives the same bytes
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_WIDTH = 6.4  # inches
_MOST_MARKERS = 30  # of a curve; more would hide it
_BOX, _GAP, _HEIGHT = 1.5, 0.42, 0.62  # of a flow chart


@dataclass(frozen=True, slots=True)
class ChartBar:
    """A bar with a note at its end, and the interval of its value where it is known."""

    label: str
    value: float
    note: str = ""
    interval: tuple[float, float] | None = None


def draw_svgs(charts: Sequence[Figure]) -> list[str]:
    """Return each chart as an SVG element, with its text drawn as paths."""
    texts = (text.get_text() for chart in charts for text in chart.findobj(Text))
    fonts = font_manager.fontManager
    with font_file("".join(texts)) as path, mpl.rc_context(_STYLE):
        fonts.addfont(path)
        try:
            return [_svg(chart) for chart in charts]
        finally:
            fonts.ttflist = [font for font in fonts.ttflist if font.fname != str(path)]


def _svg(chart: Figure) -> str:
    text = StringIO()
    chart.savefig(text, format="svg", bbox_inches="tight", metadata=_NO_METADATA)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]  # without the XML prologue it can stand in HTML


@mpl.rc_context(_STYLE)
def line_chart(
    x_label: str,
    y_label: str,
    x: Sequence[float],
    lines: Mapping[str, Sequence[tuple[float, float, float]]],
    *,
    linear: bool = False,
) -> Figure:
    """Return curves over a logarithmic or linear x axis; a point is its value and its bounds."""
    figure = Figure(figsize=(_WIDTH, 3.0))
    axes = figure.subplots()
    for (label, points), colour in zip(lines.items(), _COLOURS, strict=False):
        y, low, high = zip(*points, strict=True)
        marker = "o" if len(x) <= _MOST_MARKERS else ""
        axes.plot(x, y, color=colour, marker=marker, markersize=3.5, label=label)
        axes.fill_between(x, low, high, color=colour, alpha=0.12, lw=0)
    if linear:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(axis="y", color=_GRID, lw=0.7)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


@mpl.rc_context(_STYLE)
def bar_chart(x_label: str, bars: Sequence[ChartBar], reference: float | None = None) -> Figure:
    """Return horizontal bars; a line marks the value `reference`."""
    figure = Figure(figsize=(_WIDTH, 0.5 + 0.3 * len(bars)))
    axes = figure.subplots()
    positions = range(len(bars))
    axes.barh(positions, [bar.value for bar in bars], height=0.62, color=_COLOURS[0], alpha=0.85)
    ends = [max((bar.value, *(bar.interval or ()))) for bar in bars]
    for position, (bar, end) in enumerate(zip(bars, ends, strict=True)):
        if bar.interval:
            axes.plot(bar.interval, (position, position), color=_INK, lw=1.1, solid_capstyle="butt")
        axes.annotate(
            bar.note, (end, position), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=7.5, color=_FAINT,
        )  # fmt: skip
    axes.set_yticks(positions, [bar.label for bar in bars], color=_INK)
    axes.invert_yaxis()
    axes.set_xlabel(x_label)
    axes.set_xlim(0, 1.16 * max(ends, default=1) or 1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=_GRID, lw=0.7)
    axes.set_axisbelow(True)
    if reference is not None:
        axes.axvline(reference, color=_COLOURS[1], lw=1, ls=(0, (4, 3)))
    return figure


@mpl.rc_context(_STYLE)
def flow_chart(rows: Sequence[Sequence[str]], end: Sequence[str]) -> Figure:
    """Return rows of boxes from left to right, which all lead into the boxes `end`."""
    length = max(map(len, rows))
    columns = length + len(end)
    figure = Figure(figsize=(1.28 * columns, 0.95 * len(rows) + 0.1))
    axes = figure.subplots()
    middle = -(len(rows) - 1) / 2
    for row, boxes in enumerate(rows):
        for column, text in enumerate(boxes):
            _draw_box(axes, column, -row, text, _COLOURS[row % 2 * 2])
            if column + 1 < len(boxes):
                _draw_arrow(axes, column, -row, column + 1, -row)
        _draw_arrow(axes, len(boxes) - 1, -row, length, middle)
    for column, text in enumerate(end, start=length):
        _draw_box(axes, column, middle, text, _COLOURS[1])
        if column > length:
            _draw_arrow(axes, column - 1, middle, column, middle)
    axes.set_xlim(-0.1, columns * (_BOX + _GAP) - _GAP + 0.1)
    axes.set_ylim(1 - len(rows) - 0.45, 0.45)
    axes.axis("off")
    return figure


def _draw_box(axes: Axes, column: int, y: float, text: str, colour: str) -> None:
    left = column * (_BOX + _GAP)
    axes.add_patch(
        FancyBboxPatch(
            (left + 0.06, y - _HEIGHT / 2 + 0.06), _BOX - 0.12, _HEIGHT - 0.12,
            boxstyle="round,pad=0.06", facecolor=f"{colour}18", edgecolor=colour, lw=1.0,
        )
    )  # fmt: skip
    axes.text(left + _BOX / 2, y, text, ha="center", va="center", fontsize=8, linespacing=1.35)


def _draw_arrow(axes: Axes, start: int, start_y: float, end: int, end_y: float) -> None:
    axes.annotate(
        "",
        (end * (_BOX + _GAP) - 0.02, end_y),
        (start * (_BOX + _GAP) + _BOX + 0.02, start_y),
        arrowprops={"arrowstyle": "-|>", "color": _FAINT, "lw": 1.0, "mutation_scale": 8},
    )
