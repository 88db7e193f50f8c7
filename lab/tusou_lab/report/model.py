"""What stands on the page, before anyone decides how it looks."""

from dataclasses import dataclass

from tusou_lab.charts.plots import Chart
from tusou_lab.report.examples import Example
from tusou_lab.sweep.tables import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, and what it shows in words."""

    name: str  # of its file beside the Markdown twin
    about: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class Card:
    """One figure to remember."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A heading over rows of images; `empty` is said where there are none."""

    heading: str
    examples: tuple[Example, ...]
    empty: str


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a section; every field that is there is shown, in this order."""

    heading: str = ""
    text: str = ""
    figure: Figure | None = None
    table: Table | None = None
    rows: Rows | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A numbered section."""

    key: str
    heading: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole page; numbers are written out, charts are still to be drawn."""

    language: str
    title: str
    subtitle: str
    contents: str
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    footer: str

    @property
    def figures(self) -> list[Figure]:
        """All charts, in order."""
        return [part.figure for one in self.sections for part in one.parts if part.figure]
