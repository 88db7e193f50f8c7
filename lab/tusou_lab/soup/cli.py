"""`tusou soup`: averages models that were trained from the same starting weights."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors, print_json


def soup(
    models: Annotated[list[str], typer.Argument(help="MODELs of one architecture.")],
    *,
    out: Annotated[
        Path,
        typer.Option(help="Checkpoint or folder to write, in the format of the first model."),
    ],
    method: Annotated[
        Literal["greedy", "uniform"],
        typer.Option(
            help="greedy: take models that do not lower mean_recall on DATA; uniform: take all."
        ),
    ] = "greedy",
    data: Annotated[
        str | None,
        typer.Option(help="Dataset to choose on, by its valid split, or DATA#SPLIT."),
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL[:SHARE]",
            help="Model to blend the average with; `start`: the one that all were trained from. "
            "Without SHARE, the share is chosen on DATA.",
        ),
    ] = None,
    hub: Hub = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Average the weights of several models into one model of the same size."""
    from tusou.cli.progress import progress
    from tusou_lab.soup.blend import read_blend
    from tusou_lab.soup.run import make_soup

    with plain_errors(), progress() as bar:
        names = [name_model(model, hub) for model in models]
        other = None if blend is None else read_blend(blend, names)
        report = make_soup(
            names,
            out,
            method=method,
            data=data,
            blend=other,
            device=device,
            force=force,
            progress=bar,
        )
    record = report.record
    if as_json:
        print_json({**record.model_dump(), "gain": report.gain})
        return
    for member in record.members:
        alone = "" if member.mean_recall is None else f"   mean_recall {member.mean_recall:6.2f}"
        typer.echo(f"{member.share:6.3f}{alone}   {member.model}")
    typer.echo(f"{out}" + (f": mean_recall {record.mean_recall:.2f}" if record.valid else ""))
    if report.best and report.gain and record.valid:
        gain, low, high = report.gain
        typer.echo(
            f"{gain:+.2f} ({low:+.2f} to {high:+.2f}) over {report.best.model}, on "
            f"{record.valid.source}, which it was chosen on: measure it on other queries"
        )
