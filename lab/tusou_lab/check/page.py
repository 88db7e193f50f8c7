"""HTML page of a check report: findings with their images, and histograms; one file."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from PIL import Image

from tusou.bundle.item_reader import ItemReader, decode_stored_image
from tusou.core.errors import BadImage, OutputExists
from tusou.core.files import write_file
from tusou.images.preprocess import open_image
from tusou_lab.charts.font import FAMILY, web_font
from tusou_lab.charts.plots import BarChart, ChartBar, draw_charts
from tusou_lab.check.findings import SEVERITIES, Finding
from tusou_lab.check.image_scan import ScannedImage
from tusou_lab.check.run import CheckReport, SplitFacts

_SIDE = 132  # pixels: twice what the page shows, for sharp screens
_BINS = 16


@dataclass(frozen=True, slots=True)
class _PageImage:
    """A small image on the page, as a data URI."""

    uri: str
    caption: str


@dataclass(frozen=True, slots=True)
class _PageFinding:
    """A finding with its images."""

    finding: Finding
    images: tuple[_PageImage, ...]


@dataclass(frozen=True, slots=True)
class _SplitChart:
    """A bar chart of a split, with its heading."""

    heading: str
    bars: BarChart


def check_output(out: Path, *, force: bool) -> None:
    """Raise OutputExists, before any work, if the page exists and must not be replaced."""
    if out.exists() and not force:
        raise OutputExists(f"{out} exists; pass --force to replace it, or another --html")


def write_page(out: Path, report: CheckReport) -> None:
    """Write a report as an HTML file."""
    charts = {split: _charts(facts) for split, facts in report.splits.items()}
    images = iter(draw_charts([chart.bars for group in charts.values() for chart in group]))
    sections = {
        split: [(chart.heading, Markup(next(images))) for chart in group]  # noqa: S704 - our SVG
        for split, group in charts.items()
    }
    findings = [
        _PageFinding(finding, tuple(_thumbnail(report.images[n]) for n in finding.images))
        for finding in report.findings
    ]
    context = {
        "report": report,
        "findings": findings,
        "sections": sections,
        "severities": SEVERITIES,
    }
    template = _environment().get_template("check.html.jinja")
    # Rendered twice: the font is part of the page and holds only the characters of the page.
    text = template.render(context, family=FAMILY, font="")
    font = b64encode(web_font("".join(sorted(set(text))))).decode()
    write_file(out, template.render(context, family=FAMILY, font=font).encode())


def _environment() -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader("tusou_lab.check"), PackageLoader("tusou_lab.report")]),
        autoescape=select_autoescape(("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _thumbnail(scanned: ScannedImage) -> _PageImage:
    row, buffer = scanned.row, BytesIO()
    try:
        with ItemReader({row.file: scanned.path}) as reader:
            stored = reader.read(row.file, row.offset, row.length)
        image = open_image(decode_stored_image(stored, scanned.encoding)).convert("RGBA")
    except (BadImage, OSError):  # the file has changed since the scan
        image = Image.new("RGBA", (1, 1))
    image.thumbnail((_SIDE, _SIDE))
    image.save(buffer, "WEBP", quality=72)
    uri = f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"
    return _PageImage(uri, f"{scanned.split} {row.item_id}")


def _charts(facts: SplitFacts) -> list[_SplitChart]:
    charts: list[_SplitChart] = []
    if facts.images is not None:
        images = facts.images
        charts += [
            _chart("Formats", "images", images.formats),
            _chart("Colour modes", "images", images.modes),
            _chart("Sizes", "images", images.sizes),
            _chart("Longer side", "images", _ranges(images.sides, "px")),
            _chart("File size", "images", _ranges(images.kilobytes, "KiB")),
        ]
    if facts.texts is not None:
        charts.append(_chart("Characters of a query", "queries", _binned(facts.texts.lengths)))
        charts.append(_chart("Most frequent words", "times", dict(facts.texts.words)))
    if facts.relations is not None:
        positives = _binned(facts.relations.positives)
        charts.append(_chart("Correct images of a query", "queries", positives))
    # A single bar needs no chart: the table has its value.
    return [chart for chart in charts if len(chart.bars.bars) > 1]


def _chart(heading: str, unit: str, counts: Mapping[str, int]) -> _SplitChart:
    return _SplitChart(
        heading, BarChart(unit, tuple(ChartBar(name, n, f"{n:,}") for name, n in counts.items()))
    )


def _ranges(counts: Mapping[int, int], unit: str) -> dict[str, int]:
    """Return the counts of powers of two by the names of their ranges."""
    return {f"{low} to {2 * low - 1} {unit}": count for low, count in counts.items()}


def _binned(counts: Mapping[int, int]) -> dict[str, int]:
    """Return the counts in at most `_BINS` bins of equal width."""
    if not counts:
        return {}
    low, high = min(counts), max(counts)
    width = -(-(high - low + 1) // _BINS)
    bins: dict[str, int] = {}
    for start in range(low, high + 1, width):
        end = start + width - 1
        name = f"{start}" if width == 1 else f"{start} to {end}"
        bins[name] = sum(counts.get(value, 0) for value in range(start, end + 1))
    return bins
