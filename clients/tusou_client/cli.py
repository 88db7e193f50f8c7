"""Client commands: query, replay, load. Each one parses, calls one function, prints the result."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou_client.errors import ClientError, UsageError
from tusou_client.wire import DEFAULT_URL

if TYPE_CHECKING:
    from tusou_client.load import LoadReport

Url = Annotated[str, typer.Option(help="Address of the service.")]
TopK = Annotated[int, typer.Option(min=1, max=1000, help="Items per query.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="File holding the service's API key.", exists=True, dir_okay=False),
]
Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
QueryFile = Annotated[
    Path, typer.Option(help="MUGE query file to draw from.", exists=True, dir_okay=False)
]


def _there(place: str) -> str:
    path = place.rpartition("#")[0] if "#" in place and not Path(place).exists() else place
    if not Path(path).exists():
        raise typer.BadParameter(f"{path!r} does not exist.")
    return place


@contextmanager
def plain_errors() -> Iterator[None]:
    """Show our own errors, and the disk's, as `code: message`; let bugs keep their traceback."""
    try:
        yield
    except ClientError as error:
        typer.secho(f"{error.code}: {error}", err=True, fg="red")
    except OSError as error:
        typer.secho(f"io_error: {error}", err=True, fg="red")
    else:
        return
    raise typer.Exit(1)


def query(
    text: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    *,
    image: Annotated[
        Path | None, typer.Option(help="An image to look for.", exists=True, dir_okay=False)
    ] = None,
    item: Annotated[str | None, typer.Option(help="More like this item of the pool.")] = None,
    negative: Annotated[str | None, typer.Option(help="A text: less like this.")] = None,
    weight: Annotated[
        list[str] | None, typer.Option(help="Of a part: query=2, image=, item= or negative=.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="An item to leave out; may be repeated.")
    ] = None,
    as_it_is: Annotated[
        bool, typer.Option("--no-interpret", help="Do not look for refusals in the text.")
    ] = False,
    url: Url = DEFAULT_URL,
    top_k: TopK = 10,
    api_key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Ask a running service for a text, an image, an item, or a mixture of them.

    Prints rank, item id and score.
    """
    from tusou_client.client import Client
    from tusou_client.query_options import more_of

    if text is None and image is None and item is None:
        raise typer.BadParameter("Give a text, --image or --item.")
    with plain_errors():
        more = more_of(image, item, negative, weight or [], exclude or [])
        if as_it_is:
            more["interpret"] = False
        with Client(url, api_key=_read_key(api_key_file)) as client:
            hits = client.search(text, top_k, **more)
    if as_json:
        _print_json(asdict(hits))
        return
    for rank, (item_id, score) in enumerate(zip(hits.item_ids, hits.scores, strict=True), 1):
        typer.echo(f"{rank}\t{item_id}\t{score:.4f}")
    if hits.negative:
        said = f"Understood as {hits.positive!r} without {hits.negative!r}."
        typer.secho(said, err=True)
    if hits.truncated:
        typer.secho("The query was longer than the model reads; its end was ignored.", err=True)


def replay(
    queries: Annotated[
        str, typer.Argument(help="Query file in MUGE's JSONL, or DATA#SPLIT.", callback=_there)
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="To write; .zip for MUGE, .csv for Teddy.", dir_okay=False)
    ],
    url: Url = DEFAULT_URL,
    top_k: TopK = 10,
    batch_size: Annotated[int, typer.Option(min=1, max=256, help="Queries per request.")] = 32,
    in_flight: Annotated[int, typer.Option(min=1, max=256, help="Requests at once.")] = 4,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds to keep trying while the service is away.")
    ] = 300.0,
    api_key_file: KeyFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    as_json: Json = False,
) -> None:
    """Fill a query file with a running service's answers; run again after a kill, it goes on."""
    from tusou_client.progress_bar import Bar
    from tusou_client.replay import ReplayListener, ReplaySettings
    from tusou_client.replay import replay as run_replay

    with plain_errors(), Bar("replaying") as bar:
        key = _read_key(api_key_file)
        settings = ReplaySettings(url, top_k, batch_size, in_flight, key, patience)
        watcher = ReplayListener(bar.show, bar.say)
        report = run_replay(queries, out, settings, force=force, watcher=watcher)
    if as_json:
        _print_json(asdict(report) | {"out": str(report.out)})
        return
    resumed = f" ({report.resumed} of them from an earlier run)" if report.resumed else ""
    typer.echo(
        f"{report.rows} rows{resumed} from index {report.index_version} -> {report.out} "
        f"in {report.seconds:.1f} s"
    )


def load(
    *,
    rate: Annotated[float, typer.Option(min=0.001, help="Queries per second.")],
    duration: Annotated[float, typer.Option(min=0.001, help="Seconds.")],
    queries: QueryFile,
    url: Url = DEFAULT_URL,
    timeout_ms: Annotated[
        int, typer.Option(min=1, max=30_000, help="Deadline of each query.")
    ] = 2_000,
    top_k: TopK = 10,
    api_key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Send queries at a given rate, whatever the answers do; report goodput and latencies."""
    from tusou_client.load import LoadSettings, run_load
    from tusou_client.progress_bar import Bar
    from tusou_client.query_file import read_queries

    with plain_errors(), Bar("sending") as bar:
        texts = [row.text for row in read_queries(queries.read_bytes())]
        key = _read_key(api_key_file)
        settings = LoadSettings(rate, duration, url, timeout_ms / 1000, top_k, key)
        report = run_load(texts, settings, bar.show)
    if as_json:
        _print_json(asdict(report))
    else:
        _print_load(report)


def _print_load(report: "LoadReport") -> None:
    typer.echo(
        f"{report.sent} sent in {report.duration_s:g} s, goodput {report.goodput_per_s:g}/s, "
        f"sent at most {report.max_lateness_ms:g} ms late"
    )
    typer.echo("code\tstatus\tcount\tp50_ms\tp90_ms\tp99_ms\tmax_ms")
    for row in report.outcomes:
        typer.echo("\t".join("-" if cell is None else str(cell) for cell in asdict(row).values()))


def _read_key(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("ascii").strip()
    except UnicodeDecodeError:
        raise UsageError(f"{path} does not hold an API key: it is not ASCII text.") from None


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
