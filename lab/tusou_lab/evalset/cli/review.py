"""`tusou evalset review`: its options and its output."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tusou.cli.output import plain_errors, print_json
from tusou_lab.evalset.cli.options import AsJson, SetPath


def review(
    folder: SetPath,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: .html (a web page), .json (Label Studio) or .csv."),
    ] = None,
    person: Annotated[str | None, typer.Option(help="Name of the person who grades.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Number of pairs to check.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pairs.")] = 0,
    graded: Annotated[
        list[Path] | None,
        typer.Option("--import", help="Grades to import: .json or .csv; repeatable.", exists=True),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let people check a sample: write a page or file to fill in, or import their grades."""
    from tusou_lab.evalset.judge import JUDGMENTS, PAIRS
    from tusou_lab.evalset.pool import open_pool
    from tusou_lab.evalset.review import import_reviews, write_sample
    from tusou_lab.evalset.set_folder import SetFolder

    if (out is None) == (graded is None):
        raise typer.BadParameter(
            "give either --out FILE to write, or --import FILE to import grades"
        )
    with plain_errors():
        opened = SetFolder(folder)
        if graded is not None:
            taken = import_reviews(opened, graded, person)
            facts: dict[str, Any] = {"taken": taken}
            line = f"{taken} grades imported into {folder}"
        else:
            assert out is not None
            if person is None:
                raise typer.BadParameter("give --person, the name of the person who grades")
            bundle = open_pool(opened)
            pairs, judgments = opened.pairs(PAIRS), opened.judgments(JUDGMENTS)
            written = write_sample(opened, bundle, pairs, judgments, out, person, sample, seed)
            facts = {"pairs": written}
            line = f"{out}: {written} pairs for {person}"
    if as_json:
        print_json(facts)
        return
    typer.echo(line)
