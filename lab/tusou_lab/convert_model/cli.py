"""The command `tusou convert-model`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from tusou.cli.hub_option import Hub, name_model
from tusou.cli.output import plain_errors, print_json
from tusou.cli.progress import progress

_DIM = 512


def convert_model(
    out: Annotated[Path, typer.Option(help="Checkpoint (.pt) or folder to write.")],
    model: Annotated[
        str | None,
        typer.Argument(help="MODEL to convert: a name, a checkpoint, a folder, a hub's id."),
    ] = None,
    hub: Hub = None,
    to: Annotated[
        Literal["cnclip", "transformers", "onnx"] | None,
        typer.Option(
            help="Form of MODEL to write: of Chinese-CLIP a checkpoint of cn_clip or a folder of "
            "transformers; a folder of ONNX."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Pretrained text tower: a folder of transformers, or a hub's id."),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="Pretrained image tower: a folder, torchvision's state dict, or a hub's id."
        ),
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(min=1, show_default=f"{_DIM}", help="With --text: length of the vectors."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, show_default="0", help="With --text: draws the new projections."),
    ] = None,
    pooling: Annotated[
        Literal["first", "mean"] | None,
        typer.Option(
            help="With --text: a text's vector, of its first token or the mean of all. Default: as "
            "trained."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an output of this command.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write a model in another form, or put a text and an image tower together into a new one."""
    if text is not None and image is not None and model is None and to is None:
        with plain_errors():
            towers = name_model(text, hub), name_model(image, hub)
        drawn = _DIM if dim is None else dim, seed or 0
        _join(*towers, *drawn, out, pooling, force=force, as_json=as_json)
    elif model is not None and to is not None and text is None and image is None:
        given = {"--dim": dim, "--seed": seed, "--pooling": pooling}
        if ignored := [name for name, value in given.items() if value is not None]:
            raise typer.BadParameter(f"{', '.join(ignored)}: of --text with --image alone")
        with plain_errors():
            named = name_model(model, hub)
        _convert(named, to, out, force=force, as_json=as_json)
    else:
        raise typer.BadParameter("give MODEL with --to, or --text with --image and no MODEL")


def _convert(
    model: str,
    to: Literal["cnclip", "transformers", "onnx"],
    out: Path,
    *,
    force: bool,
    as_json: bool,
) -> None:
    from tusou.core.lazy_import import extras_named

    if to == "onnx":
        with plain_errors(), extras_named("models"), progress():
            from tusou_lab.convert_model.onnx_export import export_onnx

            report = export_onnx(model, out, force=force)
        if as_json:
            print_json(asdict(report))
            return
        size = sum(report.files.values())
        typer.echo(
            f"{out}: both towers as ONNX, opset {report.opset}, vectors of {report.dim}, "
            f"{size:,} bytes; {out / 'model.json'} describes them"
        )
        return
    from tusou_lab.convert_model.run import convert_model as run_conversion

    with plain_errors(), progress():
        record = run_conversion(model, to, out, force=force)
    if as_json:
        print_json(record.model_dump())
        return
    typer.echo(f"{out}: {record.form} of {record.source}, sha256 {record.sha256}")


def _join(
    text: str,
    image: str,
    dim: int,
    seed: int,
    out: Path,
    pooling: Literal["first", "mean"] | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    from tusou.core.lazy_import import extras_named

    with plain_errors(), extras_named("models"):
        from tusou_lab.convert_model.join_towers import join_towers

        report = join_towers(text, image, dim, out, seed=seed, pooling=pooling, force=force)
    if as_json:
        print_json(asdict(report))
        return
    typer.echo(
        f"{out}: {report.text} and {report.image}, vectors of {report.dim}, texts of up to "
        f"{report.context_length} tokens ({report.pooling}), licence {report.license or 'unknown'}"
    )
    typer.secho(report.note, err=True)
