"""The command `tusou convert-model`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.output import plain_errors, print_json


def convert_model(
    model: Annotated[str, typer.Argument(help="MODEL: a name, a checkpoint or a folder.")],
    to: Annotated[
        Literal["cnclip", "transformers"],
        typer.Option(help="A checkpoint of cn_clip, or a folder of transformers."),
    ],
    out: Annotated[Path, typer.Option(help="Checkpoint (.pt) or folder to write.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace an output of this command.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write a model in another form; its numbers stay the same."""
    from tusou_lab.convert_model.run import convert_model as run_conversion

    with plain_errors():
        record = run_conversion(model, to, out, force=force)
    if as_json:
        print_json(record.model_dump())
        return
    typer.echo(f"{out}: {record.form} of {record.source}, sha256 {record.sha256}")
