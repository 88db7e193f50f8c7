"""The command `tusou walkthrough`."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors, print_json
from tusou_lab.cli import AsJson, ForceFolder, Seed, WorkFolder, echo_command


def walkthrough(
    exercise: Annotated[
        Literal["muge", "flickr8k", "teddy", "evalset"], typer.Argument(help="The exercise.")
    ],
    folder: WorkFolder,
    data: Annotated[
        str | None,
        typer.Option(help="Folder with the exercise's own files, in place of drawn data."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="MODEL; demo for drawn data, ViT-B-16 for --data."),
    ] = None,
    hub: Hub = None,
    epochs: Annotated[
        int, typer.Option(min=0, help="With flickr8k: epochs to fine-tune on train as well.")
    ] = 0,
    items: Annotated[int, typer.Option(min=50, help="Images to draw in a split.")] = 1000,
    queries: Annotated[int, typer.Option(min=10, help="Queries to draw in a split.")] = 200,
    seed: Seed = 2024,
    force: ForceFolder = False,
    as_json: AsJson = False,
) -> None:
    """Do a complete exercise on drawn data or your own, up to the submission."""
    from tusou_lab.run_commands import ToySize
    from tusou_lab.walkthrough import evalset, flickr8k, muge, teddy
    from tusou_lab.walkthrough.exercise import ExerciseInputs, run_exercise

    if epochs and exercise != "flickr8k":
        raise typer.BadParameter("only flickr8k trains", param_hint="--epochs")
    if data is not None and exercise == "evalset":
        message = "the truth of your own data is not known; evalset draws its data"
        raise typer.BadParameter(message, param_hint="--data")
    with plain_errors():
        exercises = {"muge": muge, "flickr8k": flickr8k, "teddy": teddy, "evalset": evalset}
        run = exercises[exercise].run
        size, echo = ToySize(items, queries, seed), partial(echo_command, err=as_json)
        named = name_model(model or ("ViT-B-16" if data else "demo"), hub)
        inputs = ExerciseInputs(size, data, named, epochs)
        report = run_exercise(run, folder, inputs, echo, force=force)
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
