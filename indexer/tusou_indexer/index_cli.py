"""The command `tusou index`."""

from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors, print_json, renamed_option


def index(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Dataset of any format (DATA#SPLIT for one of its splits), or texts (.jsonl)."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Bundle folder to write or to bring up to date.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="MODEL: demo, a cn_clip name such as ViT-B-16, a checkpoint, a folder, or "
            "OWNER/NAME of a hub; several for an ensemble."
        ),
    ] = None,
    hub: Hub = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Weights of several models in the score, such as 0.6,0.4; else equal."),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="NumPy array of the items' vectors, which are then not encoded; SOURCE and "
            "--model may be left out.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(help="With --vectors: ids, one a line.", exists=True, dir_okay=False),
    ] = None,
    index_type: Annotated[
        str,
        typer.Option(
            "--index",
            help="auto, auto:2GB (chosen by recall, within memory), torch, milvus, or a FAISS "
            "factory.",
        ),
    ] = "auto",
    milvus_uri: Annotated[
        str | None, typer.Option(help="Server of --index milvus, such as http://127.0.0.1:19530.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Alias in Milvus that names the current collection.")
    ] = None,
    target_recall: Annotated[
        float | None,
        typer.Option(help="Share of the true top 10 to find; 0.999, or 0.99 over 200,000 items."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, bf16, fp16, int8 or int8-calibrated; auto: the fastest but for int8."
        ),
    ] = "auto",
    prompt: Annotated[
        str | None, typer.Option(help="Template for queries, such as 这是一个商品搜索：{query}")
    ] = None,
    prompt_file: Annotated[
        Path | None,
        typer.Option(
            help="A template per line: a query's vector is the mean over them.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    views: Annotated[
        str,
        typer.Option(
            help="Average an image's vector over views: flip, five_crops, or both with a comma."
        ),
    ] = "none",
    max_bad: Annotated[
        str, typer.Option(help="Unusable lines to accept: a count, or a share such as 1%.")
    ] = "1%",
    strict_recall: Annotated[
        bool, typer.Option("--strict-recall", help="Publish no index below the target recall.")
    ] = False,
    prepare: Annotated[
        str,
        typer.Option(help="Before encoding: upright (EXIF), white (behind transparency), or both."),
    ] = "none",
    max_megapixels: Annotated[
        int, typer.Option(help="Size of an image to refuse above.", min=1, max=178)
    ] = 64,
    attributes: Annotated[
        Path | None,
        typer.Option(
            help="Titles, prices...: JSON lines, CSV or Parquet, by item_id.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="Other bundle whose vectors to reuse; may be repeated.", exists=True),
    ] = None,
    on: Annotated[
        str, typer.Option(help="local, or ray: encode on the nodes of a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the cluster's head; by default the cluster of this machine."
        ),
    ] = None,
    query_bank: Annotated[
        str | None,
        typer.Option(
            help="Queries by which hubs are corrected: a file or DATA#SPLIT, or vectors (.npy)."
        ),
    ] = None,
    hub_alpha: Annotated[
        float | None, typer.Option(help="Strength of the correction; 0.75 by default.")
    ] = None,
    hub_k: Annotated[
        int | None, typer.Option(help="Queries that count for an item; 128 by default.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Build again from the start, reusing nothing of --out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    _factory: Annotated[str | None, renamed_option("--factory", "--index")] = None,
) -> None:
    """Encode images or texts into a searchable bundle. An interrupted run is resumed."""
    from tusou.cli.progress import progress
    from tusou_indexer.build import BuildSpec, build
    from tusou_indexer.build_from_vectors import build_from_vectors
    from tusou_indexer.build_models import parse_weights
    from tusou_indexer.vector_build_inputs import VectorBuildSpec

    if (vectors is None) != (ids is None):
        raise typer.BadParameter("give --vectors and --ids together.")
    if vectors is None and (source is None or not model):
        raise typer.BadParameter("give SOURCE and --model, or --vectors and --ids.")
    unused = {
        "--precision": precision != "auto",
        "--prepare": prepare != "none",
        "--max-megapixels": max_megapixels != 64,
        "--reuse": bool(reuse),
        "--on": on != "local",
        "--ray-address": ray_address is not None,
        "--views": views != "none",
        "--prompt-file": prompt_file is not None,
        "--query-bank": query_bank is not None,
        "--hub-alpha": hub_alpha is not None,
        "--hub-k": hub_k is not None,
        "--weights": weights is not None,
    }
    if vectors is not None and any(unused.values()):
        names = ", ".join(name for name, given in unused.items() if given)
        raise typer.BadParameter(f"{names}: not with --vectors, which are indexed as they are.")
    if vectors is not None and len(model or ()) > 1:
        raise typer.BadParameter("--model: with --vectors, one model at most encodes queries.")
    with plain_errors(resumes=True):
        models = [name_model(each, hub) for each in model or ()]
        spec = BuildSpec(
            source or "",
            models[0] if models else "",
            index_type,
            device,
            prompt,
            max_bad,
            precision=precision,
            target_recall=target_recall,
            strict_recall=strict_recall,
            prepare=prepare,
            max_megapixels=max_megapixels,
            attributes=attributes,
            reuse=tuple(reuse or ()),
            milvus_uri=milvus_uri,
            collection=collection,
            on=on,
            ray_address=ray_address,
            query_bank=query_bank,
            hub_k=hub_k,
            hub_alpha=hub_alpha,
            more_models=tuple(models[1:]),
            weights=() if weights is None else parse_weights(weights),
            prompt_file=prompt_file,
            views=views,
        )
        with progress() as bar:
            if vectors is None or ids is None:
                report = build(spec, out, bar, force=force)
            else:
                given = VectorBuildSpec.of(spec, vectors, ids)
                report = build_from_vectors(given, out, bar, force=force)
    counts, chosen = report.counts, report.index
    if chosen.missed_target:
        typer.secho(
            f"warning: index_recall@10 is {chosen.index_recall_at_10:.4f}, below the target of "
            f"{chosen.target_recall:g}; choose another --index, or a lower --target-recall",
            err=True,
            fg="yellow",
        )
    if as_json:
        print_json(
            {
                "bundle": str(report.bundle),
                "version": report.version,
                **counts.model_dump(),
                "encoded": report.encoded,
                "reused": report.reused,
                "index_recall_at_10": chosen.index_recall_at_10,
                "target_recall": chosen.target_recall,
                "seconds": report.seconds,
            }
        )
        return
    skipped = f" + {counts.skipped} files skipped" if counts.skipped else ""
    origin = f"{report.encoded} encoded and {report.reused} taken from before"
    if vectors is not None:
        origin = f"vectors of {vectors}"
    typer.echo(
        f"{out}: version {report.version}, {counts.items + counts.skipped} rows read = "
        f"{counts.embedded} indexed + {counts.failed} listed in failures.jsonl{skipped} "
        f"({origin}, {report.seconds:.1f} s)"
    )
