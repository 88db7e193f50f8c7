"""`tusou embed`: writes vectors and their ids into files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors, print_json


def embed(
    source: Annotated[
        str,
        typer.Argument(
            help="Dataset of any format (DATA#SPLIT for one of its splits), texts, a query file, "
            "or a bundle."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write vectors.npy and ids.txt into.")],
    model: Annotated[
        str | None,
        typer.Option(help="MODEL: a name, a checkpoint, a folder...; not for a bundle."),
    ] = None,
    hub: Hub = None,
    queries: Annotated[
        str | None,
        typer.Option(help="With a bundle: encode this query file as its service does."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Template for texts, such as 这是一个商品搜索：{query}")
    ] = None,
    no_interpret: Annotated[
        bool,
        typer.Option("--no-interpret", help="With --queries: do not look for refusals in texts."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, fp16 or int8; auto: the device's fastest, int8 aside.")
    ] = "auto",
    prepare: Annotated[
        str,
        typer.Option(help="Before encoding: upright (EXIF), white (behind transparency), or both."),
    ] = "none",
    force: Annotated[bool, typer.Option("--force", help="Replace finished vectors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write vectors of images, texts or queries as a NumPy array. A killed run is resumed."""
    from tusou.cli.progress import progress
    from tusou_indexer.export_vectors import EmbedSpec, export_vectors

    with plain_errors(resumes=True), progress() as bar:
        spec = EmbedSpec(
            source,
            model and name_model(model, hub),
            queries,
            prompt,
            device,
            precision,
            prepare,
            interpret=not no_interpret,
        )
        report = export_vectors(spec, out, bar, force=force)
    counts = report.counts
    if as_json:
        print_json({**asdict(report), "folder": str(out), "counts": counts.model_dump()})
        return
    skipped = f" + {counts.skipped} files skipped" if counts.skipped else ""
    typer.echo(
        f"{out}: {counts.items + counts.skipped} {report.kind} read = {counts.embedded} vectors of "
        f"{report.dim} + {counts.failed} listed in failures.jsonl{skipped} ({report.seconds:.1f} s)"
    )
