"""`tusou view`: writes a page of queries with their first items."""

from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json


def view(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Predictions, a run file, or a bundle to search.", exists=True
        ),
    ],
    out: Annotated[Path, typer.Option(help="HTML page to write.", dir_okay=False)],
    queries: Annotated[
        str | None,
        typer.Option(help="Query file or DATA#SPLIT: the texts, and what to search a bundle for."),
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            help="Bundle that was searched, for its images; repeat for more.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Items to show for a query.")] = 10,
    count: Annotated[int, typer.Option(min=1, help="Queries to show, from the first.")] = 100,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="For a bundle: do not look for refusals in texts."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing page.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Show queries with the images that were found, on a page; no answers are needed."""
    from tusou.cli.progress import progress
    from tusou_lab.view.run import ViewSpec, write_view

    with plain_errors(), progress() as bar:
        spec = ViewSpec(source, queries, tuple(bundle or ()), top_k, count, not no_interpret)
        shown = write_view(spec, out, bar, force=force)
    if as_json:
        print_json({"page": str(out), "queries": shown})
        return
    typer.echo(f"{out}: {shown} queries")
