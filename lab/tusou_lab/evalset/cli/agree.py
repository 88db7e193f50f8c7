"""`tusou evalset agree`: its options and its output."""

from dataclasses import asdict
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json
from tusou_lab.evalset.cli.options import AsJson, SetPath


def agree(
    folder: SetPath,
    correct_from: Annotated[
        int, typer.Option(min=1, max=3, help="Lowest grade of a correct item.")
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """Compare the judges of a set with each other, and the repeats of each judge."""
    from tusou_lab.evalset.agree import compare_judges
    from tusou_lab.evalset.judge import JUDGMENTS, PAIRS
    from tusou_lab.evalset.set_folder import SetFolder

    with plain_errors():
        opened = SetFolder(folder)
        compared = compare_judges(
            opened.queries(), opened.pairs(PAIRS), opened.judgments(JUDGMENTS), correct_from
        )
    if as_json:
        print_json([asdict(each) for each in compared])
        return
    for each in compared:
        figures = each.agreement
        low, high = figures.equal_interval
        typer.echo(f"{each.first} and {each.second}: {figures.pairs} pairs")
        typer.echo(
            f"  equal grades {100 * figures.equal:.1f} % ({100 * low:.1f} .. {100 * high:.1f})"
        )
        typer.echo(
            f"  kappa {figures.kappa:.3f}, weighted {figures.weighted_kappa:.3f}, of correct and "
            f"incorrect {figures.binary_kappa:.3f}; AC1 {figures.ac1:.3f}"
        )
        if each.tau is not None and each.changed is not None:
            typer.echo(
                f"  systems: Kendall's tau {each.tau:.2f}; {100 * each.changed:.0f} % of the pairs "
                "of systems are in opposite order"
            )
        typer.echo(f"  grades 0 to 3, rows by {each.first}, columns by {each.second}:")
        for grade, row in enumerate(figures.confusion):
            typer.echo(f"  {grade}  " + "".join(f"{count:>7}" for count in row))
        for name, part in (each.by_style | each.by_concept).items():
            typer.echo(f"  {name}: {part.pairs} pairs, kappa {part.kappa:.3f}")
