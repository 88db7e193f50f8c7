"""The command `tusou convert`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.output import plain_errors, print_json


def convert(
    source: Annotated[
        str, typer.Argument(help="A dataset of any format; DATA#SPLIT for one split of it.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write.", file_okay=False)],
    to: Annotated[
        Literal["muge", "cnclip", "flickr8k", "teddy", "folder", "webdataset"],
        typer.Option(help="Format to write."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a folder this command made.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write a dataset in another format; images keep their bytes."""
    from tusou.cli.progress import progress
    from tusou_lab.convert.run import convert as run_conversion

    with plain_errors(), progress() as bar:
        report = run_conversion(source, out, to, bar, force=force)
    if as_json:
        print_json(asdict(report))
        return
    for split in report.splits:
        typer.echo(
            f"{split.split}: {split.items} images, {split.queries} queries, "
            f"{split.failed} images could not be used"
        )
    for note in report.notes:
        typer.secho(note, err=True)
