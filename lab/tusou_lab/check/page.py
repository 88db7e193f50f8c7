"""The check as one HTML page that needs no network: findings, their images, and histograms."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from PIL import Image

from tusou.bundle.item_reader import ItemReader, image_of
from tusou.core.errors import BadImage, OutputExists
from tusou.core.files import write_file
from tusou.images.preprocess import open_image
from tusou_lab.charts.font import FAMILY, web_font
from tusou_lab.charts.plots import BarChart, ChartBar, draw_charts
from tusou_lab.check.findings import ORDER, Finding
from tusou_lab.check.image_scan import ScannedImage
from tusou_lab.check.run import Checked, SplitFacts

_SIDE = 132  # pixels: twice what the page shows, for sharp screens
_BINS = 16


@dataclass(frozen=True, slots=True)
class _Shown:
    """A small image on the page."""

    uri: str
    about: str


@dataclass(frozen=True, slots=True)
class _Told:
    """A finding with its images."""

    finding: Finding
    images: tuple[_Shown, ...]


@dataclass(frozen=True, slots=True)
class _Chart:
    """A chart of a split."""

    heading: str
    bars: BarChart


def claim(out: Path, *, force: bool) -> None:
    """Refuse, before any work, to overwrite a page unasked."""
    if out.exists() and not force:
        raise OutputExists(f"{out} exists; pass --force to replace it, or another --html")


def write_page(out: Path, checked: Checked) -> None:
    """Write the page."""
    charts = {split: _charts(facts) for split, facts in checked.splits.items()}
    drawn = iter(draw_charts([one.bars for some in charts.values() for one in some]))
    sections = {
        split: [(one.heading, Markup(next(drawn))) for one in some]  # noqa: S704 - matplotlib's
        for split, some in charts.items()
    }
    told = [
        _Told(finding, tuple(_small(checked.images[place]) for place in finding.images))
        for finding in checked.findings
    ]
    facts = {"checked": checked, "told": told, "sections": sections, "order": ORDER}
    template = _environment().get_template("check.html.jinja")
    # Twice: the font holds the letters of the page, and is part of it.
    plain = template.render(facts, family=FAMILY, font="")
    font = b64encode(web_font("".join(sorted(set(plain))))).decode()
    write_file(out, template.render(facts, family=FAMILY, font=font).encode())


def _environment() -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader("tusou_lab.check"), PackageLoader("tusou_lab.report")]),
        autoescape=select_autoescape(("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _small(scanned: ScannedImage) -> _Shown:
    row, held = scanned.row, BytesIO()
    try:
        with ItemReader({row.file: scanned.path}) as files:
            stored = files.read(row.file, row.offset, row.length)
        image = open_image(image_of(stored, scanned.encoding)).convert("RGBA")
    except (BadImage, OSError):  # it has changed since it was looked at
        image = Image.new("RGBA", (1, 1))
    image.thumbnail((_SIDE, _SIDE))
    image.save(held, "WEBP", quality=72)
    uri = f"data:image/webp;base64,{b64encode(held.getvalue()).decode()}"
    return _Shown(uri, f"{scanned.split} {row.item_id}")


def _charts(facts: SplitFacts) -> list[_Chart]:
    charts: list[_Chart] = []
    if facts.images is not None:
        found = facts.images
        charts += [
            _chart("Formats", "images", found.formats),
            _chart("Colour modes", "images", found.modes),
            _chart("Sizes", "images", found.sizes),
            _chart("Longer side", "images", _ranges(found.sides, "px")),
            _chart("File size", "images", _ranges(found.kilobytes, "KiB")),
        ]
    if facts.texts is not None:
        charts.append(_chart("Characters of a query", "queries", _binned(facts.texts.lengths)))
        charts.append(_chart("Most frequent words", "times", dict(facts.texts.words)))
    if facts.relations is not None:
        positives = _binned(facts.relations.positives)
        charts.append(_chart("Correct images of a query", "queries", positives))
    # What is all alike needs no chart: the table says it.
    return [chart for chart in charts if len(chart.bars.bars) > 1]


def _chart(heading: str, unit: str, counts: Mapping[str, int]) -> _Chart:
    return _Chart(
        heading, BarChart(unit, tuple(ChartBar(name, n, f"{n:,}") for name, n in counts.items()))
    )


def _ranges(counts: Mapping[int, int], unit: str) -> dict[str, int]:
    """Name powers of two by what they reach to."""
    return {f"{low} to {2 * low - 1} {unit}": count for low, count in counts.items()}


def _binned(counts: Mapping[int, int]) -> dict[str, int]:
    """Join neighbours until the bars fit, each as wide as the others."""
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
