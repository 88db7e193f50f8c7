"""The command `tusou stages`."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import typer

from tusou.bundle.stages import MAX_RERANK_DEPTH
from tusou.cli.output import plain_errors, print_json
from tusou.stages.endpoint_prompt import RerankMode

_No = Annotated[list[str] | None, typer.Option("--no", help="Stage to take away, such as rerank.")]


def stages(
    bundle: Annotated[
        Path,
        typer.Argument(help="Bundle folder made by `tusou index`.", exists=True, file_okay=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Publish in this bundle's folder instead.")
    ] = None,
    feedback: Annotated[
        str | None,
        typer.Option(help="ITEMS:WEIGHT: move a query towards the first items it finds."),
    ] = None,
    query_bank: Annotated[
        str | None,
        typer.Option(help="Correct hubs by these queries: a file, DATA#SPLIT, or vectors (.npy)."),
    ] = None,
    hub_alpha: Annotated[
        float | None, typer.Option(help="Strength of the hub correction; 0.75 by default.")
    ] = None,
    hub_k: Annotated[
        int | None, typer.Option(help="Queries that count for an item; 128 by default.")
    ] = None,
    softmax_depth: Annotated[
        int | None,
        typer.Option(
            help="Order that many first items by inverted softmax over the query bank.",
            min=1,
            max=MAX_RERANK_DEPTH,
        ),
    ] = None,
    softmax_beta: Annotated[
        float | None,
        typer.Option(help="Its inverse temperature; 20 by default.", min=0.1, max=1000),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            help="vectors:OTHER: score by the vectors of another bundle, of a larger model; "
            "cross:FILE: by a cross-encoder of `tusou train --task rerank`."
        ),
    ] = None,
    tokens: Annotated[
        Literal["stored", "computed"],
        typer.Option(help="Store a cross-encoder's tokens of images, or compute them at search."),
    ] = "stored",
    rerank_url: Annotated[
        str | None,
        typer.Option(
            help="Score by a vision language model behind an endpoint with OpenAI's interface, "
            "such as http://127.0.0.1:8001/v1."
        ),
    ] = None,
    rerank_model: Annotated[
        str | None, typer.Option(help="The model's name at the endpoint.")
    ] = None,
    rerank_mode: Annotated[
        RerankMode, typer.Option(help="Ask about several candidates at once, or about each alone.")
    ] = "listwise",
    rerank_fields: Annotated[
        str, typer.Option(help="Attributes that the model is shown, such as title,price.")
    ] = "",
    rerank_depth: Annotated[
        int | None, typer.Option(help="Items to score anew.", min=2, max=MAX_RERANK_DEPTH)
    ] = None,
    rerank_weight: Annotated[
        float | None, typer.Option(help="Share of the reranker in the score.", min=0, max=1)
    ] = None,
    rerank_deadline_ms: Annotated[
        int | None, typer.Option(help="Time limit of a query's reranking.", min=1, max=600_000)
    ] = None,
    no: _No = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Change or show what happens to a ranking between index and answer.

    The next version shares all other files with the current one.
    """
    from tusou.bundle.bundle import Bundle
    from tusou.bundle.stages import Stages
    from tusou.cli.progress import progress
    from tusou_indexer.rerank_changes import set_endpoint, set_reranker
    from tusou_indexer.stage_changes import (
        StageChange,
        change_stages,
        set_feedback,
        set_rerank_limits,
        take_away,
    )

    if unknown := set(no or ()) - set(Stages.model_fields):
        known = ", ".join(Stages.model_fields)
        raise typer.BadParameter(f"--no {min(unknown)}: the stages are {known}.")
    if rerank is not None and rerank_url is not None:
        raise typer.BadParameter("Give --rerank or --rerank-url: a bundle has one reranker.")
    with plain_errors(), ExitStack() as stack:
        opened = Bundle.open(bundle)
        changes: list[StageChange] = []
        if no:
            changes.append(take_away(opened, no))
        softens = not {softmax_depth, softmax_beta} <= {None}
        hardens = "softmax" in (no or ()) and opened.manifest.stages.softmax is not None
        corrects = softens or not {query_bank, hub_alpha, hub_k} <= {None}
        if corrects or hardens or "hub" in (no or ()):
            from tusou_indexer.hub_changes import remove_hub, set_hub, softmax_record

            work = Path(stack.enter_context(TemporaryDirectory(dir=bundle, prefix=".stages-")))
            if corrects or "hub" not in (no or ()):
                softmax = softmax_record(opened, softmax_depth, softmax_beta)
                softmax = softmax if softens or not hardens else None
                changes.append(set_hub(opened, work, query_bank, hub_k, hub_alpha, softmax))
            else:
                changes.append(remove_hub(opened, work))
        if feedback is not None:
            changes.append(set_feedback(feedback))
        if rerank_url is not None:
            names = [name.strip() for name in rerank_fields.split(",") if name.strip()]
            changes.append(set_endpoint(opened, rerank_url, rerank_model, rerank_mode, names))
        if rerank is not None:
            folder = stack.enter_context(TemporaryDirectory(prefix=".stages-", dir=bundle))
            bar = stack.enter_context(progress())
            store = tokens == "stored"
            change = set_reranker(opened, rerank, Path(folder), bar, store_tokens=store)
            changes.append(change)
        record = opened.manifest.stages.rerank
        for change in changes:
            record = change.stages.get("rerank", record)
        limits = set_rerank_limits(record, rerank_depth, rerank_weight, rerank_deadline_ms)
        if limits.stages:
            changes.append(limits)
        if changes or out is not None:
            opened = change_stages(bundle, changes, out, opened.version)
    _print(str(out or bundle), opened.version, opened.manifest.stages.model_dump(), as_json=as_json)


def _print(bundle: str, version: str, records: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"bundle": bundle, "version": version, "stages": records})
        return
    typer.echo(f"{bundle}: version {version}")
    for name, record in records.items():
        typer.echo(f"{name:<12} {_described(record)}")


def _described(record: dict[str, Any] | None) -> str:
    if record is None:
        return "none"
    known = {name: value for name, value in record.items() if value not in (None, {})}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in known.items()
    )
