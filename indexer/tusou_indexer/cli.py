"""Offline commands: each one parses, calls one use case, prints the result."""

from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.output import plain_errors, print_json

_Bundle = Annotated[
    Path, typer.Argument(help="Bundle folder made by `tusou index`.", exists=True, file_okay=False)
]
_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


def index(
    place: Annotated[
        str,
        typer.Argument(
            help="Pool: a dataset of any format (DATA#SPLIT of several splits), or texts (.jsonl)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Bundle folder to make or to bring up to date.")],
    model: Annotated[
        str, typer.Option(help="demo, a cn_clip name such as ViT-B-16, or a checkpoint (.pt).")
    ],
    factory: Annotated[
        str, typer.Option(help="FAISS factory string; auto, or auto:2GB, chooses by recall.")
    ] = "auto",
    target_recall: Annotated[
        float | None,
        typer.Option(help="Share of the true top 10 to find; 0.999, or 0.99 over 200,000 items."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16 or int8; auto: the device's fastest, int8 aside.")
    ] = "auto",
    prompt: Annotated[
        str | None, typer.Option(help="Template for queries, such as 这是一个商品搜索：{query}")
    ] = None,
    max_bad: Annotated[
        str, typer.Option(help="Unusable lines to accept: a count, or a share such as 1%.")
    ] = "1%",
    force: Annotated[bool, typer.Option("--force", help="Build again from the start.")] = False,
    as_json: _Json = False,
) -> None:
    """Encode images or texts into a searchable bundle; run again after a kill, it goes on."""
    from tusou.cli.progress import progress
    from tusou_indexer.build import BuildSpec, build

    with plain_errors():
        spec = BuildSpec(
            place,
            model,
            factory,
            device,
            prompt,
            max_bad,
            precision=precision,
            target_recall=target_recall,
        )
        with progress() as watcher:
            report = build(spec, out, watcher, force=force)
    counts = report.counts
    if as_json:
        print_json(
            {
                "bundle": str(report.bundle),
                "version": report.version,
                **counts.model_dump(),
                "encoded": report.encoded,
                "seconds": report.seconds,
            }
        )
        return
    typer.echo(
        f"{out}: version {report.version}, {counts.embedded} items, {counts.failed} lines failed "
        f"({report.encoded} encoded in {report.seconds:.1f} s)"
    )


def info(bundle: _Bundle, as_json: _Json = False) -> None:
    """Say what a bundle is: its pool, model, index and counts."""
    from tusou.bundle.bundle import Bundle

    with plain_errors():
        opened = Bundle.open(bundle)
    made = opened.manifest
    if as_json:
        print_json({"version": opened.version, **made.model_dump()})
        return
    source, counts, model = made.source, made.counts, made.model
    place = source.path if source.split is None else f"{source.path}#{source.split}"
    recall = made.index.index_recall_at_10
    rows = {
        "version": opened.version,
        "made by": made.tool,
        "pool": f"{place} ({source.size:,} bytes, sha256 {source.sha256[:12]})",
        "items": f"{made.items}: {counts.embedded:,} of {counts.items:,}, {counts.failed:,} failed",
        "ids": "integers" if made.id_type == "int" else "strings",
        "model": f"{model.name} (sha256 {model.sha256[:12]}, {model.dim} dimensions)",
        "precision": str(made.build.get("precision", "fp32")),
        "prompt": made.prompt or "none",
        "index": f"{made.index.factory} {made.index.tuning}".strip(),
        "index_recall@10": "1 (exact)" if recall is None else f"{recall:.4f} (measured)",
    }
    if made.items == "texts":
        rows["truncated"] = f"{counts.truncated:,} texts longer than the model reads"
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")


def verify(bundle: _Bundle, as_json: _Json = False) -> None:
    """Check every byte of a bundle against its manifest."""
    from tusou.bundle.bundle import Bundle

    with plain_errors():
        opened = Bundle.open(bundle)
        opened.verify()
    files = opened.manifest.files
    size = sum(record.size for record in files.values())
    if as_json:
        found = {"version": opened.version, "items": opened.items}
        print_json({**found, "files": len(files) + 1, "bytes": size})
        return
    typer.echo(
        f"{bundle}: version {opened.version} of {opened.items}, {len(files) + 1} files, "
        f"{size:,} bytes, all right"
    )
