"""`tusou evaluate`: scores rankings, or the results of a bundle."""

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json, warn_outside
from tusou.core.errors import InvalidRequest

if TYPE_CHECKING:
    from tusou_lab.evaluate.scoring import Evaluation
    from tusou_lab.evaluate.search_bundle import Loaded

# Options that `tusou compare` has too.
Answers = Annotated[
    str, typer.Option(help="Query file with the correct items, TREC qrels or prels, or DATA#SPLIT.")
]
TopK = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Items per row; 10 by default, or the depth of a run file."),
]
CacheFolder = Annotated[
    Path | None, typer.Option(help="Folder to cache query embeddings in.", file_okay=False)
]

FilterText = Annotated[
    str | None,
    typer.Option("--filter", help='For a bundle: attributes, as JSON: {"price": {"$lte": 200}}.'),
]


def evaluate(
    source: Annotated[
        Path,
        typer.Argument(
            help="Predictions, a run file or a TREC run; or a bundle to search.", exists=True
        ),
    ],
    answers: Annotated[
        str | None,
        typer.Option(help="Query file with the correct items, TREC qrels or prels, or DATA#SPLIT."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(help="For a bundle: DATA#SPLIT of labelled pairs, in place of --answers."),
    ] = None,
    threshold_from: Annotated[
        str | None,
        typer.Option(help="With --pairs: other pairs, DATA#SPLIT, to choose the threshold on."),
    ] = None,
    pool: Annotated[
        Path | None,
        typer.Option(
            help="Images or bundle that were searched, to check the ids; for a bundle of texts, "
            "the images to search with.",
            exists=True,
        ),
    ] = None,
    top_k: TopK = None,
    save: Annotated[
        list[Path] | None,
        typer.Option(
            help="File to write: .jsonl (a run), .trec, .qrels, .prels; .zip or .csv to submit; "
            "repeatable."
        ),
    ] = None,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="For a bundle: search for texts as written."),
    ] = False,
    filter_text: FilterText = None,
    rerank_key_file: Annotated[
        Path | None,
        typer.Option(
            help="For a bundle with a reranker: file with the API key of its endpoint.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    query_vectors: Annotated[
        Path | None,
        typer.Option(
            help="For a bundle: NumPy array of the queries' vectors, to be used without encoding.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    query_ids: Annotated[
        Path | None,
        typer.Option(
            help="Query ids of the vectors, one per line; by default, in the order of --answers.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    query_encoder: Annotated[
        Path | None,
        typer.Option(
            help="For a bundle: student to encode the queries with.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    cache: CacheFolder = None,
    by_slice: Annotated[
        bool, typer.Option("--slices", help="Show the scores of each kind of query as well.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check a submission for MUGE or Teddy; do not score it.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace existing files of --save.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Score rankings against the correct items, in percent with 95 % intervals."""
    from tusou.cli.progress import progress
    from tusou_lab.evaluate.export import check_outputs
    from tusou_lab.evaluate.export import save as save_as
    from tusou_lab.evaluate.loading import load
    from tusou_lab.evaluate.match_pairs import PairSpec
    from tusou_lab.evaluate.pair_output import report_pairs
    from tusou_lab.evaluate.scoring import evaluate as score
    from tusou_lab.evaluate.search_bundle import BundleSearchSpec

    if pairs is not None:
        rankings_only = {
            "--answers": answers,
            "--pool": pool,
            "--top-k": top_k,
            "--save": save,
            "--filter": filter_text,
            "--rerank-key-file": rerank_key_file,
            "--query-vectors": query_vectors,
            "--query-ids": query_ids,
            "--slices": by_slice,
            "--check": check,
        }
        pair_spec = PairSpec(pairs, threshold_from, not no_interpret, cache, query_encoder)
        report_pairs(source, pair_spec, rankings_only, as_json=as_json)
        return
    with plain_errors(), progress() as bar:
        if answers is None:
            raise InvalidRequest(
                "give either --answers (correct items) or --pairs (labelled pairs)"
            )
        if threshold_from is not None:
            raise InvalidRequest("--threshold-from needs --pairs")
        check_outputs(save or [], force=force)
        spec = BundleSearchSpec(
            top_k,
            not no_interpret,
            cache,
            pool,
            filter_text,
            query_vectors,
            query_ids,
            rerank_key_file,
            query_encoder,
        )
        if check:
            loaded = load(source, answers, spec, submission=True, progress=bar)
            for path in save or []:
                save_as(path, loaded.run, loaded.judgments)
            _print_check(source, loaded, as_json=as_json)
            return
        scored = score(source, answers, spec, bar)
        for path in save or []:
            save_as(path, scored.run, scored.judgments)
    _warn(scored.evaluation)
    if as_json:
        print_json(asdict(scored.evaluation))
        return
    _print_table(scored.evaluation)
    if by_slice:
        _print_slices(scored.evaluation)


def _print_check(source: Path, loaded: "Loaded", *, as_json: bool) -> None:
    from tusou.data.submission import find_contest

    contest = None if source.is_dir() else find_contest(source.read_bytes()).name
    queries, pool_known = len(loaded.judgments.rows), loaded.pool_ids is not None
    if as_json:
        print_json({"contest": contest, "queries": queries, "ids_checked": pool_known})
        return
    kind = f"a {contest} submission" if contest else "searched"
    unchecked = "" if pool_known else "; give --pool to check that all items are in it"
    typer.echo(f"{source}: {kind}, {queries} queries{unchecked}")


def _warn(evaluation: "Evaluation") -> None:
    if evaluation.answers_outside_pool:
        warn_outside(evaluation.answers_outside_pool, evaluation.correct_items)
    elif evaluation.answers_outside_pool is None and not any(evaluation.percent.values()):
        typer.secho(
            "warning: no ranking holds a correct item. Give --pool to check that the answers "
            "are those of the pool that was searched.",
            err=True,
            fg="yellow",
        )


def _print_table(evaluation: "Evaluation") -> None:
    width = max(13, *map(len, evaluation.percent)) + 1
    for name, percent in evaluation.percent.items():
        low, high = evaluation.interval[name]
        typer.echo(f"{name:<{width}}{percent:7.2f} %   {low:6.2f} .. {high:6.2f}")
    typer.echo(f"{evaluation.queries} queries, {evaluation.without_answer} without a correct item")
    if evaluation.index_recall:
        typer.echo("\nThe approximate index compared with exact search:")
        for name, percent in evaluation.index_recall.items():
            typer.echo(f"{name:<18}{percent:7.2f} %")


def _print_slices(evaluation: "Evaluation") -> None:
    from tusou.evaluation.metrics import headline

    metric = headline(evaluation.percent)
    for by, scores in groupby(evaluation.slices, key=lambda score: score.by):
        typer.echo(f"\n{metric} by {by}, with the number of queries")
        for score in scores:
            low, high = score.interval[metric]
            figures = f"{score.percent[metric]:7.2f} %   {low:6.2f} .. {high:6.2f}"
            typer.echo(f"{figures}{score.queries:8d}   {score.label}")
