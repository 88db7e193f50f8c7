"""`tusou evalset build`: its options and its output."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json
from tusou_lab.evalset.cli.options import AsJson, SetPath


def build(
    folder: SetPath,
    out: Annotated[Path, typer.Option(help="Folder to write to.", file_okay=False)],
    judge_name: Annotated[
        str | None, typer.Option("--judge", help="Judge for the pairs that no person has graded.")
    ] = None,
    correct_from: Annotated[
        int, typer.Option(min=1, max=3, help="Lowest grade of a correct item.")
    ] = 2,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Do not write the images of the pool.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(help="Licences of the images and texts, for the card.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files in OUT.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the queries, judgments, images and card of a set."""
    from tusou.cli.progress import progress
    from tusou_lab.evalset.build import build_set
    from tusou_lab.evalset.set_folder import SetFolder

    with plain_errors(), progress() as bar:
        report = build_set(
            SetFolder(folder),
            out,
            bar,
            judge=judge_name,
            correct_from=correct_from,
            images=not no_images,
            licence=licence,
            force=force,
        )
    if as_json:
        print_json(asdict(report))
        return
    typer.echo(
        f"{out}: {report.queries} queries, {report.pairs:,} judged pairs, {report.correct:,} of "
        f"them correct; {report.without_correct} queries without a correct item"
    )
    if report.unjudged:
        typer.echo(f"{report.unjudged} drawn pairs have no grade")
    for each in report.bias:
        typer.echo(
            f"{each.system}: precision@10 {100 * each.precision:.2f} %, "
            f"{100 * each.left_out:.2f} % if it had not been pooled"
        )
