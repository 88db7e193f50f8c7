"""`tusou report`: writes the report of one or more runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.output import plain_errors, print_json


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run files, predictions, or bundles to search.", exists=True),
    ],
    answers: Annotated[
        list[str],
        typer.Option(help="Correct items: file or DATA#SPLIT; repeat for the other direction."),
    ],
    out: Annotated[Path, typer.Option(help="HTML page to write, with Markdown beside it.")],
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            help="Bundle that a run searched, for its images; repeat for more.", exists=True
        ),
    ] = None,
    sweep: Annotated[
        Path | None,
        typer.Option(help="Folder written by `tusou sweep`.", exists=True, file_okay=False),
    ] = None,
    ladder: Annotated[
        Path | None,
        typer.Option(
            help="Folder written by `tusou improve`; found by itself beside its runs.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the page.")] = "zh",
    examples: Annotated[
        int, typer.Option(min=0, max=50, help="Rows of images under each heading.")
    ] = 5,
    notes: Annotated[
        Path | None,
        typer.Option(help="Text file with your own words, a section.", exists=True, dir_okay=False),
    ] = None,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="For bundles: do not look for refusals in texts."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write a report of one or more runs: an HTML page, and the same as Markdown."""
    from tusou.cli.progress import progress
    from tusou_lab.report.inputs import ReportSpec
    from tusou_lab.report.run import make_report

    with plain_errors(), progress() as bar:
        spec = ReportSpec(
            tuple(runs),
            tuple(answers),
            tuple(bundle or ()),
            sweep,
            title,
            lang,
            examples,
            notes,
            ladder,
            not no_interpret,
        )
        written = make_report(spec, out, bar, force=force)
    if as_json:
        print_json(written)
    else:
        typer.echo(f"{written['page']}, {written['markdown']}: {written['seconds']} s")
