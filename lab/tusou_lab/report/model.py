"""The content of a report, independent of its format."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from tusou_lab.report.examples import ExampleRow
from tusou_lab.sweep.tables import ResultTable


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A chart with its description."""

    name: str  # of its file beside the Markdown
    about: str
    chart: Figure


@dataclass(frozen=True, slots=True)
class ReportPart:
    """A piece of a section; its fields are shown in this order, empty ones left out."""

    heading: str = ""
    text: str = ""
    strong: str = ""  # shown in bold
    points: tuple[str, ...] = ()  # a list
    figure: ReportFigure | None = None
    table: ResultTable | None = None
    rows: tuple[ExampleRow, ...] = ()
    empty: str = ""  # shown if there are no rows
    commands: tuple[str, ...] = ()
    code: str = ""  # Python


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A numbered section."""

    key: str
    heading: str
    parts: tuple[ReportPart, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The complete report; numbers are formatted, charts are not drawn yet."""

    language: str
    title: str
    subtitle: str
    contents: str
    cards: tuple[tuple[str, str, str], ...]  # label, percent, note
    sections: tuple[ReportSection, ...]
    footer: str
