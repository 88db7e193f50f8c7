"""`tusou evaluate`: parses, scores, prints."""

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json

if TYPE_CHECKING:
    from tusou_lab.evaluate.loading import Loaded
    from tusou_lab.evaluate.scoring import Evaluation


def evaluate(
    source: Annotated[
        Path,
        typer.Argument(
            help="Predictions, a run file or TREC run; or a bundle, to search.", exists=True
        ),
    ],
    answers: Annotated[
        str, typer.Option(help="Query file with the correct items, TREC qrels, or DATA#SPLIT.")
    ],
    pool: Annotated[
        Path | None,
        typer.Option(
            help="Items that were searched, to check the ids; of a bundle of texts, the images "
            "that ask.",
            exists=True,
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Items each row must hold; 10, or a run's own depth."),
    ] = None,
    save: Annotated[
        list[Path] | None,
        typer.Option(help="File to write: .jsonl (a run), .trec, .qrels; .zip or .csv to submit."),
    ] = None,
    interpret: Annotated[
        bool,
        typer.Option("--interpret", help="Of a bundle: understand negations, as the page does."),
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps queries' embeddings.", file_okay=False)
    ] = None,
    by_slice: Annotated[
        bool, typer.Option("--slices", help="Show the figures of each kind of query as well.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check a submission for MUGE or Teddy; score nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files to --save.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Score what a search found against the answers, in percent with 95 % intervals."""
    from tusou.cli.progress import progress
    from tusou_lab.evaluate.export import check_outputs
    from tusou_lab.evaluate.export import save as save_as
    from tusou_lab.evaluate.loading import DEPTH, load
    from tusou_lab.evaluate.scoring import evaluate as score
    from tusou_lab.evaluate.search_bundle import LiveSpec

    with plain_errors(), progress() as watcher:
        check_outputs(save or [], force=force)
        spec = LiveSpec(top_k or DEPTH, interpret, cache, images=pool)
        if check:
            loaded = load(
                source, answers, pool, spec, top_k=top_k, submission=True, watcher=watcher
            )
            for path in save or []:
                save_as(path, loaded.run, loaded.judgments)
            _say_fit(source, loaded, as_json=as_json)
            return
        scored = score(source, answers, pool, spec, top_k=top_k, watcher=watcher)
        for path in save or []:
            save_as(path, scored.run, scored.answers)
    if as_json:
        print_json(asdict(scored.evaluation))
        return
    _print_table(scored.evaluation)
    if by_slice:
        _print_slices(scored.evaluation)


def _say_fit(source: Path, loaded: "Loaded", *, as_json: bool) -> None:
    from tusou.data.submission import find_contest

    contest = None if source.is_dir() else find_contest(source.read_bytes()).name
    queries, pool_known = len(loaded.judgments.rows), loaded.pool_ids is not None
    if as_json:
        print_json({"contest": contest, "queries": queries, "ids_checked": pool_known})
        return
    what = f"a {contest} submission" if contest else "searched"
    unchecked = "" if pool_known else "; give --pool to check that all items are in it"
    typer.echo(f"{source}: {what}, {queries} queries{unchecked}")


def _print_table(found: "Evaluation") -> None:
    for name, percent in found.percent.items():
        low, high = found.interval[name]
        typer.echo(f"{name:<14}{percent:7.2f} %   {low:6.2f} .. {high:6.2f}")
    typer.echo(f"{found.queries} queries, {found.without_answer} of them without an answer")
    if found.index_recall:
        typer.echo("\nThe approximate index beside exact search:")
        for name, percent in found.index_recall.items():
            typer.echo(f"{name:<18}{percent:7.2f} %")
    if found.answers_outside_pool:
        typer.echo(f"{found.answers_outside_pool} correct items are not in the pool", err=True)


def _print_slices(found: "Evaluation") -> None:
    from tusou.evaluation.metrics import headline

    metric = headline(found.percent)
    for by, parts in groupby(found.slices, key=lambda one: one.by):
        typer.echo(f"\n{metric} by {by}, and how many queries")
        for one in parts:
            low, high = one.interval[metric]
            figures = f"{one.percent[metric]:7.2f} %   {low:6.2f} .. {high:6.2f}"
            typer.echo(f"{figures}{one.queries:8d}   {one.label}")
