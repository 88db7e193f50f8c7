"""`tusou sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json


def sweep(
    bundle: Annotated[Path, typer.Argument(help="Bundle of images.", exists=True, file_okay=False)],
    answers: Annotated[str, typer.Option(help="Query file with the correct items, or DATA#SPLIT.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, curves, data and embeddings.")],
    templates: Annotated[
        Path | None,
        typer.Option(help="Prompt templates, one a line.", exists=True, dir_okay=False),
    ] = None,
    pool: Annotated[list[int] | None, typer.Option(min=1, help="Pool size; repeat it.")] = None,
    top_k: Annotated[
        list[int] | None, typer.Option(min=1, max=1000, help="How deep to look; repeat it.")
    ] = None,
    factory: Annotated[
        list[str] | None,
        typer.Option(help="Index: FAISS factory string, blank, tuning; repeat it."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16, fp16 or int8 of the queries; repeat it, the base first."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the smaller pools.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a finished sweep.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Compare prompts, pool sizes, top-k, index types and precisions: a table and a curve each."""
    from tusou.cli.progress import progress
    from tusou_lab.strings import SWEEP, Words
    from tusou_lab.sweep.output import PAGE, claim, write
    from tusou_lab.sweep.prompts import PUBLISHED, read_templates
    from tusou_lab.sweep.run import DEPTHS, PRECISIONS, SweepSpec
    from tusou_lab.sweep.run import sweep as run_sweep
    from tusou_lab.sweep.tables import tables

    with plain_errors(), progress() as watcher:
        spec = SweepSpec(
            read_templates(templates) if templates else PUBLISHED,
            tuple(pool or ()),
            tuple(top_k or DEPTHS),
            tuple(factory or ()),
            tuple(precision or PRECISIONS),
            seed,
        )
        found = run_sweep(bundle, answers, spec, claim(out, force=force), watcher)
        write(out, found)
    if as_json:
        print_json(found.as_json())
        return
    for question in found.questions:
        for table in tables(question, Words("en", SWEEP)):
            typer.echo(table.markdown() + "\n")
    typer.echo(
        f"{found.queries} queries, {found.encoded} texts encoded, {found.remembered} remembered; "
        f"tables and curves: {out / PAGE}"
    )
