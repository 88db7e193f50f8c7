"""HTML page of a check report: findings with their images, and histograms; one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from tusou.bundle.item_reader import decode_stored_image, read_span
from tusou.core.errors import BadImage
from tusou.core.files import write_file
from tusou.images.preprocess import open_image
from tusou_lab.charts.plots import ChartBar, bar_chart, draw_svgs
from tusou_lab.check.findings import SEVERITIES
from tusou_lab.check.image_scan import ScannedImage
from tusou_lab.check.run import CheckReport, SplitFacts
from tusou_lab.html_page import data_uri, open_templates, render_page, shrink

_BINS = 16


def write_page(out: Path, report: CheckReport) -> None:
    """Write a report as an HTML file."""
    charts = {split: _charts(facts) for split, facts in report.splits.items()}
    if report.hubness is not None:
        counts = _binned(report.hubness.ranked.occurrences)
        charts["hubness"] = _bar_charts([("Queries that find an item", "items", counts)])
    svgs = iter(draw_svgs([chart for group in charts.values() for _, chart in group]))
    sections = {
        split: [(heading, Markup(next(svgs))) for heading, _ in group]  # noqa: S704 - our SVG
        for split, group in charts.items()
    }
    findings = [
        (finding, [_thumbnail(report.images[position]) for position in finding.images])
        for finding in report.findings
    ]
    page = render_page(
        open_templates("tusou_lab.check", "tusou_lab.report"),
        "check.html.jinja",
        report=report,
        findings=findings,
        sections=sections,
        severities=SEVERITIES,
    )
    write_file(out, page)


def _thumbnail(scanned: ScannedImage) -> tuple[str, str]:
    """Return a data URI and a caption."""
    row = scanned.row
    try:
        stored = read_span(scanned.path, row.offset, row.length)
        image = open_image(decode_stored_image(stored, scanned.encoding)).convert("RGBA")
    except (BadImage, OSError):  # the file has changed since the scan
        image = Image.new("RGBA", (1, 1))
    return data_uri(shrink(image)), f"{scanned.split} {row.item_id}".strip()


def _charts(facts: SplitFacts) -> list[tuple[str, Figure]]:
    """Return charts with their headings."""
    charts: list[tuple[str, str, Mapping[str, int]]] = []
    if facts.images is not None:
        images = facts.images
        charts += [
            ("Formats", "images", images.formats),
            ("Colour modes", "images", images.modes),
            ("Sizes", "images", images.sizes),
            ("Longer side", "images", _ranges(images.sides, "px")),
            ("File size", "images", _ranges(images.kilobytes, "KiB")),
        ]
    if facts.texts is not None:
        charts.append(("Characters of a query", "queries", _binned(facts.texts.lengths)))
        charts.append(("Most frequent words", "times", dict(facts.texts.words)))
    if facts.relations is not None:
        positives = _binned(facts.relations.positives)
        charts.append(("Correct images of a query", "queries", positives))
    return _bar_charts(charts)


def _bar_charts(charts: Sequence[tuple[str, str, Mapping[str, int]]]) -> list[tuple[str, Figure]]:
    """Return charts with their headings; a single bar needs none, as the table has its value."""
    return [
        (heading, bar_chart(unit, [ChartBar(name, n, f"{n:,}") for name, n in counts.items()]))
        for heading, unit, counts in charts
        if len(counts) > 1
    ]


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
