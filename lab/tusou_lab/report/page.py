"""Writes a report as one HTML page that needs no network, and as Markdown with its files."""

import hashlib
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from tusou.core.errors import OutputExists
from tusou.core.files import replace_folder, write_file
from tusou_lab.charts.plots import draw_svgs
from tusou_lab.html_page import data_uri, open_templates, render_page
from tusou_lab.markdown import escape_inline, escape_text
from tusou_lab.report.model import Report


def output_paths(out: Path) -> tuple[Path, Path, Path]:
    """Return the paths of the page, its Markdown, and the folder of the Markdown's images."""
    return out, out.with_suffix(".md"), out.with_name(f"{out.stem}_files")


def check_output(out: Path, *, force: bool) -> None:
    """Raise OutputExists if a report would be replaced without `force`."""
    existing = [path for path in output_paths(out) if path.exists()]
    if existing and not force:
        raise OutputExists(f"{existing[0]} exists; pass --force to replace it, or another --out")


def write_report(out: Path, report: Report) -> None:
    """Write the page, its Markdown and the images of the Markdown."""
    page, markdown, folder = output_paths(out)
    parts = [part for section in report.sections for part in section.parts]
    figures = [part.figure for part in parts if part.figure]
    svgs = draw_svgs([figure.chart for figure in figures])
    charts = dict(zip([figure.name for figure in figures], svgs, strict=True))
    replace_folder(folder)
    for name, svg in charts.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    rows = [row for part in parts for row in part.rows]
    tiles = [tile for row in rows for tile in (row.query, *row.results, row.correct)]
    for thumbnail in [tile.thumbnail for tile in tiles if tile and tile.thumbnail]:
        (folder / _thumbnail_name(thumbnail)).write_bytes(thumbnail)
    templates = open_templates("tusou_lab.report")
    templates.filters |= {
        "cell": escape_inline,
        "text": escape_text,
        "data_uri": data_uri,
        "file_name": _thumbnail_name,
        "single_line": lambda text: " ".join(text.splitlines()),
    }
    text = templates.get_template("report.md.jinja").render(
        report=report, folder=quote(folder.name)
    )
    write_file(markdown, text.encode())
    markup = {name: Markup(svg) for name, svg in charts.items()}  # noqa: S704 - from matplotlib
    write_file(page, render_page(templates, "report.html.jinja", report=report, charts=markup))


def _thumbnail_name(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:12]}.webp"
