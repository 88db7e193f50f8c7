"""`tusou compare`: reports whether one run scores better than another."""

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json, warn_outside
from tusou_lab.evaluate.cli import Answers, CacheFolder, FilterText, TopK

if TYPE_CHECKING:
    from tusou_lab.compare.run import Comparison, MetricChange


def compare(
    a: Annotated[
        Path,
        typer.Argument(
            help="Predictions, a run file or a TREC run; or a bundle to search.", exists=True
        ),
    ],
    b: Annotated[Path, typer.Argument(help="The same, to compare with A.", exists=True)],
    answers: Answers,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metric to test; the first decides. Repeat for more."),
    ] = None,
    changed: Annotated[
        int, typer.Option(min=0, help="How many of the queries that changed most to show.")
    ] = 10,
    top_k: TopK = None,
    by_slice: Annotated[
        bool, typer.Option("--slices", help="Show the first metric of each kind of query as well.")
    ] = False,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="For bundles: do not look for refusals in texts."),
    ] = False,
    filter_text: FilterText = None,
    cache: CacheFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Test whether B scores better than A, or whether the difference may be chance."""
    from tusou.cli.progress import progress
    from tusou_lab.compare.run import compare as run_comparison
    from tusou_lab.evaluate.search_bundle import BundleSearchSpec

    with plain_errors(), progress() as bar:
        spec = BundleSearchSpec(top_k, not no_interpret, cache, filter=filter_text)
        comparison = run_comparison(
            a, b, answers, spec, metrics=metric or (), changed=changed, progress=bar
        )
    if comparison.answers_outside_pool:
        warn_outside(comparison.answers_outside_pool, comparison.correct_items)
    if as_json:
        print_json(asdict(comparison))
        return
    _print_metrics(comparison)
    if by_slice:
        _print_slices(comparison)
    if comparison.changed:
        typer.echo("\nLargest changes: rank of the first correct item in A and in B, query")
    for query in comparison.changed:
        ranks = "".join(f"{side.first_correct or '-':>6}" for side in (query.a, query.b))
        text = "" if query.text is None else f"  {query.text}"
        typer.echo(f"{ranks}   {query.query_id}{text}")


def _print_metrics(comparison: "Comparison") -> None:
    typer.echo(f"{comparison.verdict}\n")
    typer.echo(f"{'':<14}{'A':>8}{'B':>8}{'B - A':>9}   95 % interval         p    Holm")
    for name, change in comparison.metrics.items():
        typer.echo(f"{name:<14}{_format_change(change)}")
    typer.echo(
        f"\n{comparison.queries} queries by {comparison.metric}: "
        f"B better {comparison.wins}, equal {comparison.ties}, A better {comparison.losses}"
    )


def _print_slices(comparison: "Comparison") -> None:
    for by, parts in groupby(comparison.slices, key=lambda part: part.by):
        typer.echo(f"\n{comparison.metric} by {by}, with the number of queries")
        for part in parts:
            typer.echo(f"{'':<14}{_format_change(part.change)}{part.queries:8d}   {part.label}")


def _format_change(change: "MetricChange") -> str:
    low, high = change.interval
    return (
        f"{change.a:8.2f}{change.b:8.2f}{change.difference:+9.2f}"
        f"   {low:+7.2f} .. {high:+7.2f}{change.p:8.4f}{change.p_holm:8.4f}"
    )
