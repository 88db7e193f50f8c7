"""`tusou evaluate --pairs`: runs the matching of labelled pairs and reports it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import typer

from tusou.cli.output import plain_errors, print_json
from tusou.cli.progress import progress
from tusou.core.errors import InvalidRequest
from tusou_lab.evaluate.match_pairs import PairEvaluation, PairSpec, evaluate_pairs


def report_pairs(
    source: Path, spec: PairSpec, rankings_only: Mapping[str, object], *, as_json: bool
) -> None:
    """Score the pairs on a bundle and print the figures.

    `rankings_only` holds the values of options that pairs do not have; InvalidRequest if any is
    given, and for a source that is not a bundle.
    """
    with plain_errors(), progress() as bar:
        if unused := [name for name, value in rankings_only.items() if value]:
            raise InvalidRequest(
                f"{', '.join(unused)}: not allowed with --pairs, which are not ranked"
            )
        if not source.is_dir():
            raise InvalidRequest(f"--pairs needs a bundle to score them, but {source} is a file")
        evaluation = evaluate_pairs(source, spec, bar)
    if as_json:
        print_json(asdict(evaluation))
    else:
        _print_figures(evaluation)
    if evaluation.contradictory:
        typer.secho(
            f"warning: {evaluation.contradictory} pairs of a text and an image have both labels",
            err=True,
            fg="yellow",
        )


def _print_figures(evaluation: PairEvaluation) -> None:
    for name, percent in evaluation.percent.items():
        low, high = evaluation.interval[name]
        typer.echo(f"{name:<14}{percent:7.2f} %   {low:6.2f} .. {high:6.2f}")
    left_out = f"; {evaluation.unknown_pairs} left out" if evaluation.unknown_pairs else ""
    typer.echo(
        f"{evaluation.pairs} pairs of {evaluation.images} images, {evaluation.matching} matching"
        f"{left_out}"
    )
    lowest, highest = min(evaluation.thresholds), max(evaluation.thresholds)
    if evaluation.threshold_from is None:
        origin = "each chosen on four fifths of the images, for the others"
        typer.echo(f"thresholds {lowest:.4f} .. {highest:.4f}, {origin}")
    else:
        typer.echo(f"threshold {lowest:.4f}, chosen on {evaluation.threshold_from}")
