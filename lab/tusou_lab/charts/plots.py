"""Draws charts: what is to be seen is data, how it looks is decided here alone."""

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

# Told apart by people who see few colours, and in print: Okabe and Ito's, the darker ones.
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
class Series:
    """One line of a chart; `low` and `high` bound its points, where they are known."""

    label: str
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Curves over one axis of numbers; with `log`, equal factors lie equally far apart."""

    x_label: str
    y_label: str
    x: tuple[float, ...]
    series: tuple[Series, ...]
    log: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, with a note at its end and its bounds, where they are known."""

    label: str
    value: float
    note: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars below each other; `reference` is a value to compare them with."""

    x_label: str
    bars: tuple[Bar, ...]
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """Boxes in rows, each row read from left to right and all rows ending in the last box."""

    rows: tuple[tuple[str, ...], ...]
    end: tuple[str, ...]


Chart: TypeAlias = Lines | Bars | Flow


def draw(charts: Sequence[Chart]) -> list[str]:
    """Give each chart as an SVG document."""
    with _lettering("".join(map(repr, charts))):
        return [_drawn(chart) for chart in charts]


@contextmanager
def _lettering(text: str) -> Iterator[None]:
    fonts = font_manager.fontManager
    with font_file(text) as path, mpl.rc_context(_STYLE):
        fonts.addfont(path)
        try:
            yield
        finally:
            fonts.ttflist = [font for font in fonts.ttflist if font.fname != str(path)]


def _drawn(chart: Chart) -> str:
    if isinstance(chart, Lines):
        figure = _lines(chart)
    elif isinstance(chart, Bars):
        figure = _bars(chart)
    else:
        figure = _flow(chart)
    held = StringIO()
    figure.savefig(held, format="svg", bbox_inches="tight", metadata=_NO_METADATA)
    svg = held.getvalue()
    return svg[svg.index("<svg") :]  # without the XML prologue it also fits into a page


def _lines(chart: Lines) -> Figure:
    figure = Figure(figsize=(_WIDTH, 3.0))
    axes = figure.subplots()
    for series, colour in zip(chart.series, COLOURS, strict=False):
        axes.plot(chart.x, series.y, color=colour, marker="o", markersize=3.5, label=series.label)
        if series.low:
            axes.fill_between(chart.x, series.low, series.high, color=colour, alpha=0.12, lw=0)
    if chart.log:
        axes.set_xscale("log")
    axes.set_xticks(chart.x, [f"{x:g}" for x in chart.x])
    axes.minorticks_off()
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.grid(axis="y", color=_GRID, lw=0.7)
    if len(chart.series) > 1:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _bars(chart: Bars) -> Figure:
    figure = Figure(figsize=(_WIDTH, 0.5 + 0.3 * len(chart.bars)))
    axes = figure.subplots()
    places = range(len(chart.bars))
    axes.barh(places, [bar.value for bar in chart.bars], height=0.62, color=COLOURS[0], alpha=0.85)
    for place, bar in enumerate(chart.bars):
        _label_bar(axes, place, bar)
    axes.set_yticks(places, [bar.label for bar in chart.bars], color=_INK)
    axes.invert_yaxis()
    axes.set_xlabel(chart.x_label)
    axes.set_xlim(0, 1.16 * max((bar.high or bar.value for bar in chart.bars), default=1) or 1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=_GRID, lw=0.7)
    axes.set_axisbelow(True)
    if chart.reference is not None:
        axes.axvline(chart.reference, color=COLOURS[1], lw=1, ls=(0, (4, 3)))
    return figure


def _label_bar(axes: Axes, place: int, bar: Bar) -> None:
    end = bar.value
    if bar.low is not None and bar.high is not None:
        axes.plot([bar.low, bar.high], [place, place], color=_INK, lw=1.1, solid_capstyle="butt")
        end = max(end, bar.high)
    axes.annotate(
        bar.note, (end, place), xytext=(4, 0), textcoords="offset points",
        va="center", fontsize=7.5, color=_FAINT,
    )  # fmt: skip


_BOX, _GAP, _HEIGHT = 1.5, 0.42, 0.62


def _flow(chart: Flow) -> Figure:
    length = max(map(len, chart.rows))
    columns = length + len(chart.end)
    figure = Figure(figsize=(1.28 * columns, 0.95 * len(chart.rows) + 0.1))
    axes = figure.subplots()
    middle = -(len(chart.rows) - 1) / 2
    for row, boxes in enumerate(chart.rows):
        for place, text in enumerate(boxes):
            _box(axes, place, -row, text, COLOURS[row % 2 * 2])
            if place + 1 < len(boxes):
                _arrow(axes, place, -row, place + 1, -row)
        _arrow(axes, len(boxes) - 1, -row, length, middle)
    for place, text in enumerate(chart.end, start=length):
        _box(axes, place, middle, text, COLOURS[1])
        if place > length:
            _arrow(axes, place - 1, middle, place, middle)
    axes.set_xlim(-0.1, columns * (_BOX + _GAP) - _GAP + 0.1)
    axes.set_ylim(1 - len(chart.rows) - 0.45, 0.45)
    axes.axis("off")
    return figure


def _box(axes: Axes, column: int, y: float, text: str, colour: str) -> None:
    left = column * (_BOX + _GAP)
    axes.add_patch(
        FancyBboxPatch(
            (left + 0.06, y - _HEIGHT / 2 + 0.06), _BOX - 0.12, _HEIGHT - 0.12,
            boxstyle="round,pad=0.06", facecolor=f"{colour}18", edgecolor=colour, lw=1.0,
        )
    )  # fmt: skip
    axes.text(left + _BOX / 2, y, text, ha="center", va="center", fontsize=8, linespacing=1.35)


def _arrow(axes: Axes, start: int, start_y: float, end: int, end_y: float) -> None:
    axes.annotate(
        "",
        (end * (_BOX + _GAP) - 0.02, end_y),
        (start * (_BOX + _GAP) + _BOX + 0.02, start_y),
        arrowprops={"arrowstyle": "-|>", "color": _FAINT, "lw": 1.0, "mutation_scale": 8},
    )
