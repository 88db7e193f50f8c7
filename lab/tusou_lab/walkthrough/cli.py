"""The command `tusou walkthrough`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.output import plain_errors, print_json


def walkthrough(
    exercise: Annotated[Literal["muge", "flickr8k", "teddy"], typer.Argument(help="The exercise.")],
    folder: Annotated[Path, typer.Option("--dir", help="Folder to work in.", file_okay=False)],
    items: Annotated[int, typer.Option(min=50, help="Images to draw in a split.")] = 1000,
    queries: Annotated[int, typer.Option(min=10, help="Queries to draw in a split.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same bytes.")] = 2024,
    force: Annotated[
        bool, typer.Option("--force", help="Replace all files in the folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Do a complete exercise on drawn data, from its files to those to hand in."""
    from tusou_lab.walkthrough.exercise import ExerciseSpec, run_exercise

    def echo(text: str) -> None:
        typer.secho(text, err=as_json, bold=text.startswith("$"))

    with plain_errors():
        report = run_exercise(
            exercise, folder, ExerciseSpec(items, queries, seed), echo, force=force
        )
    if as_json:
        print_json(asdict(report))
        return
    for task, percent in report.metrics.items():
        figures = "  ".join(f"{name} {value:.2f}" for name, value in percent.items())
        typer.echo(f"{task}: {figures}")
    seconds = ", ".join(f"{verb} {value:.1f}" for verb, value in report.seconds.items())
    typer.echo(f"seconds: {seconds}")
    for path in report.made:
        typer.echo(f"made: {path}")
