"""`tusou fuse`: makes one run of those of several systems."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json
from tusou.core.errors import InvalidRequest, OutputExists
from tusou_lab.fuse.methods import Method, Normalisation
from tusou_lab.fuse.weights import Objective

if TYPE_CHECKING:
    from tusou_lab.fuse.run import FusionReport


def fuse(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run files, TREC runs or predictions, over the same queries.",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Run file to write (.jsonl).", dir_okay=False)],
    method: Annotated[Method, typer.Option(help="How scores are combined.")] = "rrf",
    normalisation: Annotated[
        Normalisation, typer.Option("--normalise", help="Common scale of the runs' scores.")
    ] = "minmax",
    weights: Annotated[
        str | None, typer.Option(help="One weight for each run, such as 0.6,0.4.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option(help="Answers on which --method weights fits the weights.")
    ] = None,
    fit: Annotated[
        list[Path] | None,
        typer.Option(
            help="Runs of the same systems over the queries of --answers, one for each RUN.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    objective: Annotated[
        Objective, typer.Option(help="What fitted weights maximise.")
    ] = "mean_recall",
    transductive: Annotated[
        bool,
        typer.Option(
            "--transductive",
            help="Dual softmax over all queries of the runs first; a service cannot do this.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Fuse the rankings of several systems into one run, for contests."""
    from tusou_lab.fuse.run import FusionSpec
    from tusou_lab.fuse.run import fuse as run_fusion

    with plain_errors():
        if out.exists() and not force:
            raise OutputExists(f"{out} exists; give --force to replace it, or another --out")
        spec = FusionSpec(method, normalisation, _parse_weights(weights), objective, transductive)
        report = run_fusion(runs, out, spec, answers, fit or ())
    if as_json:
        print_json(
            {
                "out": str(out),
                "queries": report.queries,
                "depth": report.depth,
                "method": report.method,
                "weights": report.weights,
                "fitted": asdict(report.fitted) if report.fitted else None,
                "transductive": report.transductive,
            }
        )
        return
    if report.fitted:
        _print_fit(report, runs)
    typer.echo(f"{out}: {report.queries} queries, {report.depth} items each, by {report.method}")
    if report.transductive:
        typer.echo("transductive: each ranking depends on all queries; no service can do this")


def _parse_weights(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise InvalidRequest("--weights: give numbers with commas, such as 0.6,0.4") from None


def _print_fit(report: "FusionReport", runs: list[Path]) -> None:
    fitted = report.fitted
    assert fitted is not None
    width = max(len(run.name) for run in runs)
    for run, weight, alone in zip(runs, fitted.weights, fitted.single, strict=True):
        typer.echo(f"{run.name:<{width}}  weight {weight:.2f}  {fitted.objective} {alone:6.2f}")
    low, high = fitted.interval
    typer.echo(
        f"{'fused':<{width}}               {fitted.objective} {fitted.fitted:6.2f}, on the queries "
        "that chose the weights\n"
        f"cross-validated gain over the best single run: {fitted.gain:+.2f} "
        f"(95 % interval {low:+.2f} to {high:+.2f})"
    )
