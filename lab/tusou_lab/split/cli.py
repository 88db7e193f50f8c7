"""`tusou split`: divides a dataset into train, valid and test."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.output import plain_errors, print_json


def split(
    data: Annotated[
        str, typer.Argument(help="A dataset of any format without splits, or DATA#SPLIT.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.", file_okay=False)],
    valid: Annotated[
        float, typer.Option(min=0.0, help="Share of the images; from 1 on, their number.")
    ] = 0.2,
    test: Annotated[
        float, typer.Option(min=0.0, help="Share of the images; from 1 on, their number.")
    ] = 0.1,
    train: Annotated[
        int | None, typer.Option(min=1, help="Images of train; all that remain by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same splits.")] = 0,
    to: Annotated[
        Literal["muge", "cnclip", "flickr8k", "webdataset"], typer.Option(help="Format to write.")
    ] = "muge",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a folder this command made.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Divide a dataset into train, valid and test; near duplicates stay in one split."""
    from tusou.cli.progress import progress
    from tusou_lab.split.run import split as run_split

    both = "--valid and --test"
    if any(size >= 1 and not size.is_integer() for size in (valid, test)):
        raise typer.BadParameter("a number of images is a whole number", param_hint=both)
    if sum(size for size in (valid, test) if size < 1) >= 1:
        raise typer.BadParameter("must leave images to train on", param_hint=both)
    sizes = {"valid": valid, "test": test} | ({} if train is None else {"train": train})
    with plain_errors(), progress() as bar:
        report = run_split(data, out, sizes, seed, bar, to=to, workers=workers or None, force=force)
    if as_json:
        print_json(asdict(report))
        return
    for part in report.splits:
        typer.echo(f"{part.split}: {part.items} images, {part.queries} queries")
    counts = {
        "images stay with one that looks the same": report.near_duplicates,
        "queries have correct images in several splits": report.divided_queries,
        "queries without a readable correct image were left out": report.queries_left_out,
        "images are in no split: train has the number that was given": report.images_left_out,
        "images could not be read and were left out": report.failed,
    }
    for note in (*(f"{n} {text}" for text, n in counts.items() if n), *report.notes):
        typer.secho(note, err=True)
