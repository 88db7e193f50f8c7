"""`tusou calibrate`: fits the relevance of a bundle's hits on judged queries."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json
from tusou_lab.calibrate.cross_fit import KindChoice

if TYPE_CHECKING:
    from tusou_lab.calibrate.run import FittedCalibration


def calibrate(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.", exists=True, file_okay=False)],
    answers: Annotated[
        str, typer.Option(help="Query file with the correct items, TREC qrels, or DATA#SPLIT.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Bundle folder to publish in; BUNDLE by default.", file_okay=False),
    ] = None,
    kind: Annotated[
        KindChoice, typer.Option(help="Form of the curves; auto: the one with the smaller error.")
    ] = "auto",
    pool: Annotated[
        Path | None,
        typer.Option(help="For a bundle of texts: the images to search with.", exists=True),
    ] = None,
    no_interpret: Annotated[
        bool, typer.Option("--no-interpret", help="Do not look for refusals in texts.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Fit the relevance of hits on judged queries; publish a version that returns it."""
    from tusou.cli.progress import progress
    from tusou_lab.calibrate.run import calibrate as run_calibration

    with plain_errors(), progress() as bar:
        fitted, published = run_calibration(
            bundle, answers, out, kind, pool, bar, interpret=not no_interpret
        )
    if as_json:
        figures = fitted.content.figures.model_dump()
        curves = {name: each.threshold for name, each in fitted.content.curves.items()}
        print_json(
            {
                "version": published.version,
                "kind": fitted.kind,
                "interpret": fitted.content.interpret,
                "queries": fitted.queries,
                "skipped": fitted.skipped,
                "thresholds": curves,
                **figures,
            }
        )
        return
    _print_figures(fitted)
    root = published.folder.parent
    typer.echo(f"{root}: version {published.version}, {fitted.kind} on {fitted.queries} queries")
    if fitted.skipped:
        typer.secho(
            f"note: {fitted.skipped} queries have no right item in the bundle and were left out",
            err=True,
            fg="yellow",
        )


def _print_figures(fitted: "FittedCalibration") -> None:
    figures = fitted.content.figures
    for title, curve in (("hits", figures.hit_curve), ("answers", figures.answer_curve)):
        typer.echo(f"{title:<12}values   relevance   right")
        for each in curve:
            typer.echo(f"{'':8}{each.values:10}{each.predicted:12.3f}{each.observed:8.3f}")
    for label, figure in (
        ("expected calibration error of hits", figures.hit_ece),
        ("expected calibration error of answers", figures.answer_ece),
        ("AUROC, right items in the pool or removed", figures.auroc),
        ("AUROC, a right item among the hits or not", figures.auroc_found),
    ):
        typer.echo(f"{label:<43}{figure.value:.3f}   {figure.low:.3f} .. {figure.high:.3f}")
    typer.echo(
        f"matched: {100 * figures.kept:.1f} % of the answers with a right item, "
        f"{100 * (1 - figures.recognised):.1f} % of those whose right items were removed"
    )
