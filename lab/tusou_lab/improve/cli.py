"""`tusou improve`: tries stages, and takes those that help."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json


def improve(
    bundle: Annotated[
        Path, typer.Argument(help="Bundle of images to improve.", exists=True, file_okay=False)
    ],
    answers: Annotated[
        str, typer.Option(help="Queries with their correct items, or DATA#SPLIT: valid, not test.")
    ],
    rungs: Annotated[
        list[str],
        typer.Option("--try", help="Stages to try, with commas or repeated, such as feedback,hub."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the ladder, its runs and the best bundle.")],
    query_bank: Annotated[
        str | None,
        typer.Option(help="For hub: a file of queries or DATA#SPLIT, such as those of train."),
    ] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(help="For prompts: a template per line.", exists=True, dir_okay=False),
    ] = None,
    rerank_model: Annotated[
        str | None, typer.Option(help="For rerank:URL: the model's name at the endpoint.")
    ] = None,
    no_interpret: Annotated[
        bool, typer.Option("--no-interpret", help="Do not look for refusals in texts.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Divides the queries into halves.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace what OUT holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Try stages one by one and together; take those whose gain other queries confirm.

    One half of the queries chooses the settings, the other half confirms the gain. A stopped run
    continues with the same command.
    """
    from tusou.cli.progress import progress
    from tusou_lab.improve.ladder import BUNDLE, PAGE
    from tusou_lab.improve.run import ImproveSpec
    from tusou_lab.improve.run import improve as run_improve
    from tusou_lab.improve.tables import ladder_parts, text_table
    from tusou_lab.improve.try_list import TryOptions
    from tusou_lab.strings import strings_in

    with plain_errors(resumes=True), progress() as bar:
        options = TryOptions(query_bank, prompt_file, rerank_model)
        spec = ImproveSpec(answers, tuple(rungs), options, seed, interpret=not no_interpret)
        ladder = run_improve(bundle, spec, out, bar, force=force)
    if as_json:
        print_json(asdict(ladder))
        return
    for part in ladder_parts(ladder, strings_in("en")):
        if part.heading:
            typer.echo(f"{part.heading}\n")
        for table in part.tables:
            typer.echo(text_table(table) + "\n")
        for point in part.points:
            typer.echo(f"* {point}\n")
    taken = " + ".join(ladder.best.rungs) or "no rung taken"
    typer.echo(f"{taken}: {out / BUNDLE}; tables: {out / PAGE}")
