"""Writes a report as one HTML page that needs no network, and as Markdown with its files."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from tusou.core.errors import OutputExists
from tusou.core.files import replace_folder, write_file
from tusou_lab.charts.font import FAMILY, web_font
from tusou_lab.charts.plots import draw_svgs
from tusou_lab.report.model import Report
from tusou_lab.report.thumbnails import Thumbnail


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
    figures = report.figures
    svgs = draw_svgs([figure.chart for figure in figures])
    charts = dict(zip([figure.name for figure in figures], svgs, strict=True))
    replace_folder(folder)
    for name, svg in charts.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    for thumbnail in _thumbnails(report):
        (folder / thumbnail.file_name).write_bytes(thumbnail.data)
    write_file(markdown, _render_markdown(report, quote(folder.name)).encode())
    write_file(page, _render_html(report, charts).encode())


def _render_html(report: Report, charts: dict[str, str]) -> str:
    markup = {name: Markup(svg) for name, svg in charts.items()}  # noqa: S704 - from matplotlib
    template = _environment().get_template("report.html.jinja")
    # Rendered twice: the font is part of the page, and holds the characters that it shows.
    plain = template.render(report=report, charts=markup, family=FAMILY, font="")
    font = b64encode(web_font("".join(sorted(set(plain))))).decode()
    return template.render(report=report, charts=markup, family=FAMILY, font=font)


def _render_markdown(report: Report, folder: str) -> str:
    return _environment().get_template("report.md.jinja").render(report=report, folder=folder)


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
    return environment


def _escape_markdown(text: str) -> str:
    """Escape user text for a Markdown table."""
    line = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        line = line.replace(mark, f"\\{mark}")
    return line


def _thumbnails(report: Report) -> Iterator[Thumbnail]:
    for part in report.parts:
        for row in part.rows.examples if part.rows else ():
            for tile in row.tiles():
                if tile.thumbnail:
                    yield tile.thumbnail
