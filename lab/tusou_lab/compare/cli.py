"""`tusou compare`: parses, compares, prints."""

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json

if TYPE_CHECKING:
    from tusou_lab.compare.run import Change, ChangedQuery, Comparison

_ABOUT = "Predictions, a run file or TREC run; or a bundle, to search."


def compare(
    a: Annotated[Path, typer.Argument(help=_ABOUT, exists=True)],
    b: Annotated[Path, typer.Argument(help="The same, to set beside A.", exists=True)],
    answers: Annotated[
        str, typer.Option(help="Query file with the correct items, TREC qrels, or DATA#SPLIT.")
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metric to test; the first decides. Repeat for more."),
    ] = None,
    changed: Annotated[
        int, typer.Option(min=0, help="How many of the queries that changed most to show.")
    ] = 10,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Items each row must hold; 10, or a run's own depth."),
    ] = None,
    by_slice: Annotated[
        bool, typer.Option("--slices", help="Show the headline of each kind of query as well.")
    ] = False,
    interpret: Annotated[
        bool,
        typer.Option("--interpret", help="Of bundles: understand negations first."),
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps queries' embeddings.", file_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Say whether B finds better than A, or whether the difference may be chance."""
    from tusou.cli.progress import progress
    from tusou_lab.compare.run import CompareSpec
    from tusou_lab.compare.run import compare as run_comparison

    with plain_errors(), progress() as watcher:
        spec = CompareSpec(tuple(metric or ()), changed, top_k, interpret, cache)
        found = run_comparison(a, b, answers, spec, watcher)
    if as_json:
        print_json(asdict(found))
        return
    _print(found)
    if by_slice:
        _print_slices(found)
    if found.changed:
        typer.echo("\nchanged most: first correct rank in A and in B, query")
    for one in found.changed:
        typer.echo(_line_of(one))


def _print(found: "Comparison") -> None:
    typer.echo(f"{found.verdict}\n")
    typer.echo(f"{'':<14}{'A':>8}{'B':>8}{'B - A':>9}   95 % interval         p    Holm")
    for name, change in found.metrics.items():
        typer.echo(f"{name:<14}{_figures(change)}")
    typer.echo(
        f"\n{found.queries} queries by {found.metric}: "
        f"B better {found.wins}, alike {found.ties}, A better {found.losses}"
    )


def _print_slices(found: "Comparison") -> None:
    for by, parts in groupby(found.slices, key=lambda one: one.by):
        typer.echo(f"\n{found.metric} by {by}, and how many queries")
        for one in parts:
            typer.echo(f"{'':<14}{_figures(one.change)}{one.queries:8d}   {one.label}")


def _figures(change: "Change") -> str:
    low, high = change.interval
    return (
        f"{change.a:8.2f}{change.b:8.2f}{change.difference:+9.2f}"
        f"   {low:+7.2f} .. {high:+7.2f}{change.p:8.4f}{change.p_holm:8.4f}"
    )


def _line_of(one: "ChangedQuery") -> str:
    ranks = (str(side.first_correct or "-") for side in (one.a, one.b))
    text = "" if one.text is None else f"  {one.text}"
    return "{:>6}{:>6}   ".format(*ranks) + f"{one.query_id}{text}"
