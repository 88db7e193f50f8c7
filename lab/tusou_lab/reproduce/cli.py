"""The command `tusou reproduce`."""

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors, print_json
from tusou_lab.cli import AsJson, echo_command


def reproduce(
    benchmark: Annotated[  # noqa: ARG001 - the only one so far
        Literal["muge"], typer.Argument(help="The benchmark: muge.")
    ],
    data: Annotated[
        str, typer.Option(help="Folder with the official files, MR_valid_* among them.")
    ],
    model: Annotated[
        str, typer.Option(help="MODEL: a name such as ViT-B-16, a checkpoint, a folder...")
    ] = "ViT-B-16",
    hub: Hub = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the index, the results and the report.")
    ] = Path("reproduction"),
    fine_tuned: Annotated[
        bool,
        typer.Option("--fine-tuned", help="Compare with the published fine-tuned row."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Try stages as well, with tusou improve.")
    ] = False,
    rungs: Annotated[
        str | None,
        typer.Option(
            "--try",
            help="With --ladder: the stages, with commas; feedback, and hub where train has "
            "queries.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Start over in an emptied OUT.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on MUGE's valid split through a service, beside the published figures.

    Run it again after a kill: what is finished is kept.
    """
    from tusou_lab.reproduce.page import LADDER_HEAD, ladder_rows, table_rows, verdict_sentence
    from tusou_lab.reproduce.published import METRICS
    from tusou_lab.reproduce.run import PAGE, ReproduceSpec
    from tusou_lab.reproduce.run import reproduce as run_reproduction

    tried = tuple(rungs.split(",")) if rungs else ()
    training: Literal["zero-shot", "fine-tuned"] = "fine-tuned" if fine_tuned else "zero-shot"
    with plain_errors(resumes=True):
        spec = ReproduceSpec(data, name_model(model, hub), training, device, ladder, tried)
        echo = partial(echo_command, err=as_json)
        report = run_reproduction(spec, out, echo, force=force)
    if as_json:
        print_json({**asdict(report), "verdict": report.verdict})
        return
    _print_table([("", *METRICS), *table_rows(report)])
    typer.echo(verdict_sentence(report))
    if report.ladder:
        typer.echo("\nThe ladder: gains of mean_recall on queries that chose nothing")
        _print_table([LADDER_HEAD, *ladder_rows(report)])
    typer.echo(f"report: {out / PAGE}")


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join([first, *rest]).rstrip())
