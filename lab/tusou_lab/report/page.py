"""Writes a report as one HTML page that needs no network, and as Markdown with its files."""

import hashlib
from base64 import b64encode
from functools import partial
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from tusou.core.errors import OutputExists
from tusou.core.files import replace_folder, write_file
from tusou_lab.charts.font import FAMILY, web_font
from tusou_lab.charts.plots import draw_svgs
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
    environment = _environment()
    text = environment.get_template("report.md.jinja").render(
        report=report, folder=quote(folder.name)
    )
    write_file(markdown, text.encode())
    html = partial(
        environment.get_template("report.html.jinja").render,
        report=report,
        charts={name: Markup(svg) for name, svg in charts.items()},  # noqa: S704 - from matplotlib
        family=FAMILY,
    )
    # Rendered twice: the font is part of the page, and holds the characters that it shows.
    font = b64encode(web_font("".join(sorted(set(html(font="")))))).decode()
    write_file(page, html(font=font).encode())


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tusou_lab.report"),
        autoescape=select_autoescape(("html.jinja",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _escape_markdown
    environment.filters["base64"] = lambda data: b64encode(data).decode()
    environment.filters["file_name"] = _thumbnail_name
    return environment


def _thumbnail_name(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:12]}.webp"


def _escape_markdown(text: str) -> str:
    """Escape user text for a Markdown table."""
    line = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        line = line.replace(mark, f"\\{mark}")
    return line
