"""`tusou walkthrough`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.output import plain_errors, print_json


def walkthrough(
    exercise: Annotated[Literal["muge", "flickr8k", "teddy"], typer.Argument(help="Which one.")],
    folder: Annotated[Path, typer.Option("--dir", help="Folder to work in.", file_okay=False)],
    items: Annotated[int, typer.Option(min=50, help="Images to draw in a split.")] = 1000,
    queries: Annotated[int, typer.Option(min=10, help="Queries to draw in a split.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same bytes.")] = 2024,
    force: Annotated[
        bool, typer.Option("--force", help="Replace whatever the folder holds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Do a whole exercise on drawn data: from its files to what is handed in."""
    from tusou_lab.walkthrough.exercise import ExerciseSpec, run_exercise

    def say(text: str) -> None:
        typer.secho(text, err=as_json, bold=text.startswith("$"))

    with plain_errors():
        found = run_exercise(exercise, folder, ExerciseSpec(items, queries, seed), say, force=force)
    if as_json:
        print_json(asdict(found))
        return
    for what, percent in found.metrics.items():
        figures = "  ".join(f"{name} {value:.2f}" for name, value in percent.items())
        typer.echo(f"{what}: {figures}")
    took = ", ".join(f"{verb} {seconds:.1f}" for verb, seconds in found.seconds.items())
    typer.echo(f"seconds: {took}")
    for path in found.made:
        typer.echo(f"made: {path}")
