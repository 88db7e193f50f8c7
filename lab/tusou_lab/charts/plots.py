"""Draws chart data as SVG with matplotlib."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tusou_lab.charts.font import FAMILY, font_file

# Distinguishable with colour blindness and in print: darker variants of Okabe and Ito's colours.
COLOURS = ("#0f766e", "#c2410c", "#4338ca", "#a16207", "#be185d", "#475569")
_INK, _FAINT, _GRID = "#1f2937", "#6b7280", "#e5e7eb"
_STYLE: dict[Any, Any] = {  # the names are literals in matplotlib's types
    "font.family": [FAMILY],
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _FAINT,
    "axes.edgecolor": _GRID,
    "axes.unicode_minus": False,
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


@dataclass(frozen=True, slots=True)
class ChartLine:
    """A curve; `low` and `high` bound its points, where they are known."""

    label: str
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class LineChart:
    """Curves over a common x axis, logarithmic with `log`."""

    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: tuple[ChartLine, ...]
    log: bool = False


@dataclass(frozen=True, slots=True)
class ChartBar:
    """A bar with a note at its end; `low` and `high` bound its value, where they are known."""

    label: str
    value: float
    note: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class BarChart:
    """Horizontal bars; a line marks the value `reference`."""

    x_label: str
    bars: tuple[ChartBar, ...]
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class FlowChart:
    """Rows of boxes from left to right, which all lead into the boxes `end`."""

    rows: tuple[tuple[str, ...], ...]
    end: tuple[str, ...]


Chart: TypeAlias = LineChart | BarChart | FlowChart


def draw_charts(charts: Sequence[Chart]) -> list[str]:
    """Return each chart as an SVG element, with its text drawn as paths."""
    with _chart_font("".join(map(repr, charts))):
        return [_draw(chart) for chart in charts]


@contextmanager
def _chart_font(text: str) -> Iterator[None]:
    fonts = font_manager.fontManager
    with font_file(text) as path, mpl.rc_context(_STYLE):
        fonts.addfont(path)
        try:
            yield
        finally:
            fonts.ttflist = [font for font in fonts.ttflist if font.fname != str(path)]


def _draw(chart: Chart) -> str:
    if isinstance(chart, LineChart):
        figure = _draw_lines(chart)
    elif isinstance(chart, BarChart):
        figure = _draw_bars(chart)
    else:
        figure = _draw_flow(chart)
    text = StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata=_NO_METADATA)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]  # without the XML prologue it can stand in HTML


def _draw_lines(chart: LineChart) -> Figure:
    figure = Figure(figsize=(_WIDTH, 3.0))
    axes = figure.subplots()
    for line, colour in zip(chart.lines, COLOURS, strict=False):
        axes.plot(chart.x, line.y, color=colour, marker="o", markersize=3.5, label=line.label)
        if line.low:
            axes.fill_between(chart.x, line.low, line.high, color=colour, alpha=0.12, lw=0)
    if chart.log:
        axes.set_xscale("log")
    axes.set_xticks(chart.x, [f"{x:g}" for x in chart.x])
    axes.minorticks_off()
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.grid(axis="y", color=_GRID, lw=0.7)
    if len(chart.lines) > 1:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _draw_bars(chart: BarChart) -> Figure:
    figure = Figure(figsize=(_WIDTH, 0.5 + 0.3 * len(chart.bars)))
    axes = figure.subplots()
    positions = range(len(chart.bars))
    axes.barh(
        positions, [bar.value for bar in chart.bars], height=0.62, color=COLOURS[0], alpha=0.85
    )
    for position, bar in enumerate(chart.bars):
        _label_bar(axes, position, bar)
    axes.set_yticks(positions, [bar.label for bar in chart.bars], color=_INK)
    axes.invert_yaxis()
    axes.set_xlabel(chart.x_label)
    axes.set_xlim(0, 1.16 * max((bar.high or bar.value for bar in chart.bars), default=1) or 1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=_GRID, lw=0.7)
    axes.set_axisbelow(True)
    if chart.reference is not None:
        axes.axvline(chart.reference, color=COLOURS[1], lw=1, ls=(0, (4, 3)))
    return figure


def _label_bar(axes: Axes, position: int, bar: ChartBar) -> None:
    end = bar.value
    if bar.low is not None and bar.high is not None:
        axes.plot(
            [bar.low, bar.high], [position, position], color=_INK, lw=1.1, solid_capstyle="butt"
        )
        end = max(end, bar.high)
    axes.annotate(
        bar.note, (end, position), xytext=(4, 0), textcoords="offset points",
        va="center", fontsize=7.5, color=_FAINT,
    )  # fmt: skip


_BOX, _GAP, _HEIGHT = 1.5, 0.42, 0.62


def _draw_flow(chart: FlowChart) -> Figure:
    length = max(map(len, chart.rows))
    columns = length + len(chart.end)
    figure = Figure(figsize=(1.28 * columns, 0.95 * len(chart.rows) + 0.1))
    axes = figure.subplots()
    middle = -(len(chart.rows) - 1) / 2
    for row, boxes in enumerate(chart.rows):
        for column, text in enumerate(boxes):
            _draw_box(axes, column, -row, text, COLOURS[row % 2 * 2])
            if column + 1 < len(boxes):
                _draw_arrow(axes, column, -row, column + 1, -row)
        _draw_arrow(axes, len(boxes) - 1, -row, length, middle)
    for column, text in enumerate(chart.end, start=length):
        _draw_box(axes, column, middle, text, COLOURS[1])
        if column > length:
            _draw_arrow(axes, column - 1, middle, column, middle)
    axes.set_xlim(-0.1, columns * (_BOX + _GAP) - _GAP + 0.1)
    axes.set_ylim(1 - len(chart.rows) - 0.45, 0.45)
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
