"""The report as one HTML page that needs no network, and as Markdown with files beside it."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from tusou.core.errors import OutputExists
from tusou.core.files import replace_folder, write_file
from tusou_lab.charts.font import FAMILY, web_font
from tusou_lab.charts.plots import draw
from tusou_lab.report.examples import Example, Tile
from tusou_lab.report.model import Report
from tusou_lab.report.thumbnails import Thumb


def places(out: Path) -> tuple[Path, Path, Path]:
    """Name the page, its Markdown twin, and the folder of the twin's images."""
    return out, out.with_suffix(".md"), out.with_name(f"{out.stem}_files")


def claim(out: Path, *, force: bool) -> None:
    """Refuse, before any work, what would overwrite a report unasked."""
    present = [path for path in places(out) if path.exists()]
    if present and not force:
        raise OutputExists(f"{present[0]} exists; pass --force to replace it, or another --out")


def write_page(out: Path, report: Report) -> None:
    """Write the page, its Markdown twin and the twin's images."""
    page, twin, folder = places(out)
    figures = report.figures
    drawn = dict(
        zip([one.name for one in figures], draw([one.chart for one in figures]), strict=True)
    )
    replace_folder(folder)
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    for thumb in _thumbs(report):
        (folder / thumb.file_name).write_bytes(thumb.data)
    write_file(twin, _markdown(report, quote(folder.name)).encode())
    write_file(page, _html(report, drawn).encode())


def _html(report: Report, drawn: dict[str, str]) -> str:
    charts = {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704 - matplotlib's own
    template = _environment().get_template("report.html.jinja")
    # Twice: the font holds the letters of the page, and is part of it.
    plain = template.render(report=report, charts=charts, family=FAMILY, font="")
    font = b64encode(web_font("".join(sorted(set(plain))))).decode()
    return template.render(report=report, charts=charts, family=FAMILY, font=font)


def _markdown(report: Report, folder: str) -> str:
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
    environment.filters["cell"] = _cell
    return environment


def _cell(text: str) -> str:
    """Write text that was somebody's into a Markdown table."""
    plain = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _thumbs(report: Report) -> Iterator[Thumb]:
    for tile in _tiles(report):
        if tile.thumb:
            yield tile.thumb


def _tiles(report: Report) -> Iterator[Tile]:
    for section in report.sections:
        for part in section.parts:
            for example in part.rows.examples if part.rows else ():
                yield from _of(example)


def _of(example: Example) -> Iterator[Tile]:
    yield example.query
    yield from example.found
    if example.right:
        yield example.right
