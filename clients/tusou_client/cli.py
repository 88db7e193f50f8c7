"""Client commands: query, replay, load."""

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from tusou.cli.output import plain_errors, print_json
from tusou.core.key_file import read_key_lines
from tusou.data import split_source
from tusou_client.errors import UsageError
from tusou_client.wire import DEFAULT_URL

if TYPE_CHECKING:
    from tusou_client.load import LoadReport
    from tusou_client.wire import SearchOptions


def _existing_data(source: str) -> str:
    path, _ = split_source(source)
    if not path.exists():
        raise typer.BadParameter(f"{str(path)!r} does not exist.")
    return source


class SkippedStage(StrEnum):
    """A stage that a request may leave out."""

    ADJUST = "adjust"
    RERANK = "rerank"


Url = Annotated[str, typer.Option(help="Address of the service.")]
TopK = Annotated[int, typer.Option(min=1, max=1000, help="Items per query.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="File holding the service's API key.", exists=True, dir_okay=False),
]
NoInterpret = Annotated[
    bool, typer.Option("--no-interpret", help="Search the text as written, refusals included.")
]
Skip = Annotated[
    list[SkippedStage] | None,
    typer.Option(help="A stage of the bundle to leave out; may be repeated."),
]
MinRelevance = Annotated[
    float | None, typer.Option(min=0, max=1, help="Leave out items of less relevance.")
]
FilterText = Annotated[
    str | None, typer.Option("--filter", help='Attributes, as JSON: {"price": {"$lte": 200}}.')
]
Encoder = Annotated[
    Literal["teacher", "student"] | None,
    typer.Option(help="What encodes the query, where the service has both."),
]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
_PARTS = ("query", "image", "item", "vector", "negative")
_QUERIES = "Query file in MUGE's JSONL, or DATA#SPLIT."


def query(
    text: Annotated[str | None, typer.Argument(help="Text to search for.")] = None,
    *,
    image: Annotated[
        Path | None, typer.Option(help="An image to search for.", exists=True, dir_okay=False)
    ] = None,
    item: Annotated[str | None, typer.Option(help="An item's id: more like it.")] = None,
    vector: Annotated[
        Path | None,
        typer.Option(help="A vector of the index's space (.npy).", exists=True, dir_okay=False),
    ] = None,
    negative: Annotated[str | None, typer.Option(help="A text: less like it.")] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="Weight of a part: query=2, image=, item=, vector=, negative=."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="An item to leave out; may be repeated.")
    ] = None,
    filter_text: FilterText = None,
    fields: Annotated[
        str | None, typer.Option(help="Attributes to print, such as title,price.")
    ] = None,
    no_interpret: NoInterpret = False,
    skip: Skip = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the score of each stage.")
    ] = False,
    min_relevance: MinRelevance = None,
    query_encoder: Encoder = None,
    url: Url = DEFAULT_URL,
    top_k: TopK = 10,
    api_key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Search a running service for a text, an image, an item, a vector, or a mixture of them.

    Prints rank, item id, score and the attributes of --fields.
    """
    from tusou_client.client import Client
    from tusou_client.vector_file import read_vector

    if text is None and image is None and item is None and vector is None:
        raise typer.BadParameter("Give a text, --image, --item or --vector.")
    names = fields.split(",") if fields else []
    with plain_errors():
        given: dict[str, object] = {
            "image": image,
            "item_id": item,
            "vector": None if vector is None else read_vector(vector),
            "negative": negative,
            "exclude": exclude or None,
            "interpret": False if no_interpret else None,
            **{stage.value: False for stage in skip or ()},
            "explain": explain or None,
            "min_relevance": min_relevance,
            "filter": _parse_filter(filter_text),
            "fields": names or None,
            **_parse_weights(weight or []),
        }
        options = {name: value for name, value in given.items() if value is not None}
        with Client(url, api_key=read_key(api_key_file), query_encoder=query_encoder) as client:
            hits = client.search(text, top_k, **cast("SearchOptions", options))
    if as_json:
        print_json(asdict(hits))
        return
    for hit, attributes in zip(hits, hits.attributes or repeat({}), strict=False):
        cells = [_cell(attributes.get(name)) for name in names]
        if hits.relevance:
            cells.append(f"relevance {hits.relevance[hit.rank - 1]:.3f}")
        if hits.stage_scores:
            scores = hits.stage_scores[hit.rank - 1].items()
            cells.append(" ".join(f"{stage} {score:.4f}" for stage, score in scores))
        typer.echo("\t".join([str(hit.rank), str(hit.item_id), f"{hit.score:.4f}", *cells]))
    if hits.matched is False:
        typer.secho("Nothing fits the query well enough.", err=True)
    if hits.rerank in ("partial", "failed"):
        typer.secho(f"The reranker's scores are {hits.rerank}.", err=True)
    if hits.negative:
        typer.secho(f"Understood as {hits.positive!r} without {hits.negative!r}.", err=True)
    if hits.is_unknown_language:
        text = "The query is most likely in a language that the model does not know."
        typer.secho(text, err=True)
    if hits.truncated:
        typer.secho("The query was longer than the model reads; its end was ignored.", err=True)


def replay(
    queries: Annotated[str, typer.Argument(help=_QUERIES, callback=_existing_data)],
    *,
    out: Annotated[
        Path,
        typer.Option(help="File to write; .zip for MUGE, .csv for Teddy Cup.", dir_okay=False),
    ],
    query_encoder: Encoder = None,
    url: Url = DEFAULT_URL,
    top_k: TopK = 10,
    filter_text: FilterText = None,
    no_interpret: NoInterpret = False,
    batch_size: Annotated[int, typer.Option(min=1, max=256, help="Queries per request.")] = 32,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Requests at once.")] = 4,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds to retry while the service is away.")
    ] = 300.0,
    api_key_file: KeyFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: Json = False,
) -> None:
    """Write the results of a query file, ready to submit; run again after a kill to resume."""
    from tusou.cli.progress import progress
    from tusou_client.replay import ReplayListener, ReplaySettings
    from tusou_client.replay import replay as run_replay

    with plain_errors(), progress() as bar:
        settings = ReplaySettings(
            url=url,
            top_k=top_k,
            batch_size=batch_size,
            in_flight=in_flight,
            api_key=read_key(api_key_file),
            patience=patience,
            interpret=not no_interpret,
            filter=_parse_filter(filter_text),
            query_encoder=query_encoder,
        )
        listener = ReplayListener(partial(bar.move_to, "replaying"), bar.notice)
        report = run_replay(queries, out, settings, force=force, listener=listener)
    if report.not_reranked:
        typer.secho(
            f"warning: {report.not_reranked} rows are not fully reranked: the time limit passed, "
            "the reranker failed, or it has no score for some items. Give the bundle a longer "
            "--rerank-deadline-ms, or a lower --in-flight",
            err=True,
            fg="yellow",
        )
    if report.unknown_language:
        typer.secho(
            f"warning: {report.unknown_language} queries are in a language that the model does "
            "not know, and their results mean little",
            err=True,
            fg="yellow",
        )
    if as_json:
        print_json(asdict(report) | {"out": str(report.out)})
        return
    resumed = f" ({report.resumed} of them from an earlier run)" if report.resumed else ""
    refusals = "subtracted" if report.interpret else "searched as written"
    typer.echo(
        f"{report.rows} rows{resumed} from index {report.index_version} -> {report.out} "
        f"in {report.seconds:.1f} s; refusals in queries {refusals}"
    )


def load(
    *,
    rate: Annotated[float, typer.Option(min=0.001, help="Queries per second.")],
    duration: Annotated[float, typer.Option(min=0.001, help="Seconds.")],
    queries: Annotated[str, typer.Option(help=_QUERIES, callback=_existing_data)],
    url: Url = DEFAULT_URL,
    timeout_ms: Annotated[
        int, typer.Option(min=1, max=30_000, help="Deadline of each query.")
    ] = 2_000,
    top_k: TopK = 10,
    no_interpret: NoInterpret = False,
    api_key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Send queries at a fixed rate, however slow the replies are; report goodput and latencies."""
    from tusou.cli.progress import progress
    from tusou_client.load import LoadSettings, run_load
    from tusou_client.query_file import read_queries, read_source

    with plain_errors(), progress() as bar:
        texts = [row.text for row in read_queries(read_source(queries))]
        settings = LoadSettings(
            rate=rate,
            duration=duration,
            url=url,
            timeout=timeout_ms / 1000,
            top_k=top_k,
            api_key=read_key(api_key_file),
            interpret=not no_interpret,
        )
        report = run_load(texts, settings, partial(bar.move_to, "sending"))
    if as_json:
        print_json(asdict(report))
    else:
        _print_load(report)


def _parse_weights(weights: Iterable[str]) -> dict[str, float]:
    """Return the fields of weights written as `part=number`."""
    fields = {}
    for weight in weights:
        part, _, number = weight.partition("=")
        if part not in _PARTS:
            raise UsageError(f"--weight {weight}: the parts are {', '.join(_PARTS)}.")
        value = math.nan
        with suppress(ValueError):
            value = float(number)
        if not 0 < value <= 10:  # NaN fails too
            raise UsageError(
                f"--weight {weight}: write a part and a number up to 10, for example image=0.5."
            )
        fields[f"{part}_weight"] = value
    return fields


def _parse_filter(text: str | None) -> dict[str, object] | None:
    """Return the filter of a JSON text; the service checks its attributes."""
    if text is None:
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise UsageError("""--filter is a JSON object, for example '{"price": {"$lte": 200}}'.""")
    return parsed


def _cell(value: object) -> str:
    """Return an attribute's value as a cell of a line of tab-separated cells."""
    if value is None:
        return "-"
    text = ",".join(value) if isinstance(value, list) else str(value)
    return "".join(char if char.isprintable() else " " for char in text)


def _print_load(report: "LoadReport") -> None:
    typer.echo(
        f"{report.sent} sent in {report.duration_s:g} s, goodput {report.goodput_per_s:g}/s, "
        f"sent at most {report.max_lateness_ms:g} ms late"
    )
    typer.echo("code\tstatus\tcount\tp50_ms\tp90_ms\tp99_ms\tmax_ms")
    for row in report.outcomes:
        typer.echo("\t".join("-" if cell is None else str(cell) for cell in asdict(row).values()))


def read_key(path: Path | None) -> str | None:
    """Return the first key of a file, in the form of the service's own."""
    if path is None:
        return None
    keys = read_key_lines(path)
    if not keys:
        raise UsageError(f"{path} holds no API key.")
    return keys[0].key
