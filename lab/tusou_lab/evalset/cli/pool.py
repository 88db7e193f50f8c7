"""`tusou evalset pool`: its options and its output."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json
from tusou_lab.evalset.cli.options import AsJson, SetPath


def pool(
    folder: SetPath,
    bundle: Annotated[Path, typer.Option(help="Bundle of all items of the pool.", exists=True)],
    systems: Annotated[
        list[Path] | None,
        typer.Option(help="Bundle, run file or TREC run of a system; repeatable.", exists=True),
    ] = None,
    lexical: Annotated[
        list[str] | None,
        typer.Option(help="Attribute to search lexically, such as title; repeatable."),
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=1000, help="Ranks of each system to pool.")] = 50,
    certain: Annotated[
        int, typer.Option(min=0, help="First ranks of each system, which are always judged.")
    ] = 10,
    ranked: Annotated[
        float, typer.Option(min=0, help="Expected pairs per query to draw from lower ranks.")
    ] = 15,
    unranked: Annotated[
        float,
        typer.Option(min=0, help="Expected pairs per query to draw from items no system found."),
    ] = 10,
    no_interpret: Annotated[
        bool, typer.Option("--no-interpret", help="Do not look for refusals in texts.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same pairs.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Pool the results of several systems, and draw the pairs to judge.

    If you draw again with a larger budget, pairs that were drawn before are kept.
    """
    from tusou.cli.progress import progress
    from tusou_lab.evalset.drawing import Drawing
    from tusou_lab.evalset.pool import pool_systems
    from tusou_lab.evalset.set_folder import SetFolder

    with plain_errors(), progress() as bar:
        drawing = Drawing(depth, min(certain, depth), ranked, unranked, seed)
        report = pool_systems(
            SetFolder(folder),
            bundle,
            systems or [],
            drawing,
            bar,
            lexical or [],
            interpret=not no_interpret,
        )
    if as_json:
        print_json(asdict(report))
        return
    typer.echo(
        f"{report.pairs:,} pairs of {report.queries} queries and {report.items:,} items to judge"
    )
    if report.no_longer_drawn:
        typer.echo(f"{report.no_longer_drawn} graded pairs are no longer drawn: raise the budget")
    for name, count in report.found_by_one.items():
        typer.echo(f"found only by {name}: {count}")
