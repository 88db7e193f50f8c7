"""Lab commands: toy, demo."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json

# Options of several commands.
WorkFolder = Annotated[Path, typer.Option("--dir", help="Folder to work in.", file_okay=False)]
Seed = Annotated[int, typer.Option(min=0, help="The same seed draws the same bytes.")]
ForceFolder = Annotated[bool, typer.Option("--force", help="Replace all files in the folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


def toy(
    out: Annotated[Path, typer.Argument(help="Folder to write the MUGE files into.")],
    items: Annotated[int, typer.Option(min=1, help="Images in valid and in test, each.")] = 3000,
    queries: Annotated[int, typer.Option(min=1, help="Queries in valid and in test, each.")] = 300,
    seed: Seed = 0,
    train_items: Annotated[
        int | None,
        typer.Option(min=1, help="Images and queries in train; 4 x ITEMS by default."),
    ] = None,
    splits: Annotated[str, typer.Option(help="Splits to write.")] = "train,valid,test",
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that draw images; 0: one per core.")
    ] = 0,
    hard: Annotated[
        bool,
        typer.Option(
            "--hard", help="Cluttered, dim images of several products; rare words and long titles."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw toy product images with Chinese queries, in the MUGE format."""
    import os

    from tusou.cli.progress import progress
    from tusou_lab.toy.dataset import SplitSize, write_toy
    from tusou_lab.toy.difficulty import EASY, HARD
    from tusou_lab.toy.products import SPLITS

    train = train_items or 4 * items
    names = splits.split(",")
    if not set(names) <= SPLITS.keys() or len(set(names)) < len(names):
        raise typer.BadParameter(
            f"give names from {', '.join(SPLITS)}, each once", param_hint="--splits"
        )
    sizes = [
        SplitSize(name, train, train) if name == "train" else SplitSize(name, items, queries)
        for name in names
    ]
    with plain_errors(), progress() as bar:
        reports = write_toy(
            out,
            sizes,
            seed,
            workers or os.cpu_count() or 1,
            difficulty=HARD if hard else EASY,
            force=force,
            progress=bar,
        )
    if as_json:
        print_json([asdict(report) for report in reports])
        return
    for report in reports:
        typer.echo(
            f"{report.split}: {report.items} images, {report.queries} queries, "
            f"{report.answers / max(report.queries, 1):.1f} correct items a query, "
            f"{report.captions} captions"
        )


def demo(
    folder: WorkFolder,
    items: Annotated[int, typer.Option(min=20, help="Images to draw.")] = 3000,
    queries: Annotated[int, typer.Option(min=1, help="Queries to replay.")] = 300,
    seed: Seed = 2024,
    force: ForceFolder = False,
    as_json: AsJson = False,
) -> None:
    """Draw a pool, index it, serve it, replay its queries over HTTP and score the results."""
    from tusou_lab.demo import run_demo
    from tusou_lab.run_commands import ToySize

    with plain_errors():
        size, echo = ToySize(items, queries, seed), partial(echo_command, err=as_json)
        report = run_demo(folder, size, echo, force=force)
    if as_json:
        print_json(asdict(report))
        return
    for name, percent in report.metrics.items():
        typer.echo(f"{name:<14}{percent:7.2f} %")
    seconds = ", ".join(f"{verb} {value:.1f}" for verb, value in report.seconds.items())
    typer.echo(f"{report.items} items, {report.queries} queries; seconds: {seconds}")
    typer.echo(f"search it yourself: tusou serve {folder / 'bundle'}")


def echo_command(text: str, *, err: bool) -> None:
    """Print a command line in bold, or its output as it is."""
    typer.secho(text, err=err, bold=text.startswith("$"))
