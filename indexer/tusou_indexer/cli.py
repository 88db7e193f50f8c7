"""The commands `tusou compact`, `tusou info`, `tusou verify` and `tusou push`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tusou.cli.output import plain_errors, print_json

if TYPE_CHECKING:
    from tusou.bundle.location import BundleLocation


def _location(text: str) -> "BundleLocation":
    """Return the location that an argument names; a wrong usage for a folder that is not there."""
    from tusou.bundle.location import parse_location
    from tusou.core.errors import InvalidRequest

    try:
        location = parse_location(text)
    except InvalidRequest as error:
        raise typer.BadParameter(f"{error}.") from None
    if isinstance(location, Path) and not location.exists():
        raise typer.BadParameter(f"{location} does not exist.")
    return location


_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]


def compact(
    bundle: Annotated[
        Path,
        typer.Argument(help="Bundle folder made by `tusou index`.", exists=True, file_okay=False),
    ],
    as_json: _Json = False,
) -> None:
    """Write the live changes of a bundle into its next version; a service may go on meanwhile."""
    from tusou_indexer.compact import compact as compact_bundle

    with plain_errors():
        report = compact_bundle(bundle)
    if report.index.missed_target:
        typer.secho(
            f"warning: index_recall@10 is {report.index.index_recall_at_10:.4f}, below the target "
            f"of {report.index.target_recall:g}; index again with another --index",
            err=True,
            fg="yellow",
        )
    if as_json:
        print_json(report.as_json())
        return
    if not report.changed:
        typer.echo(f"{bundle}: version {report.version} holds all changes")
        return
    skipped = f", {report.skipped} that do not fit left out" if report.skipped else ""
    cut = "the log is cut" if report.trimmed else "the service that writes the log will cut it"
    typer.echo(
        f"{bundle}: version {report.version}, {report.items} items = {report.added} added live + "
        f"{report.items - report.added} from before, changes up to {report.position}{skipped}; "
        f"{cut} ({report.seconds:.1f} s)"
    )


def info(
    path: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE|MODEL",
            help="Bundle folder or s3://BUCKET/PREFIX; a model or its folder, a student, or demo.",
        ),
    ],
    as_json: _Json = False,
) -> None:
    """Show what a bundle holds, or what a model or a student is and how it was trained."""
    from tusou_indexer.show import is_model, show_bundle, show_model

    if is_model(path):
        with plain_errors():
            show_model(path, as_json=as_json)
        return
    location = _location(path)
    with plain_errors():
        show_bundle(location, as_json=as_json)


def verify(
    bundle: Annotated[str, typer.Argument(help="Bundle folder, or s3://BUCKET/PREFIX.")],
    as_json: _Json = False,
) -> None:
    """Compare every byte of a bundle with its manifest."""
    from tusou.bundle.bundle import Bundle
    from tusou.bundle.s3_store import S3Store

    location = _location(bundle)
    with plain_errors():
        if isinstance(location, Path):
            opened = Bundle.open(location)
            opened.verify()
            opened.check_parts()
            version, manifest = opened.version, opened.manifest
        else:
            version, manifest = S3Store(location).verify()
    files = manifest.files
    size = sum(record.size for record in files.values())
    if as_json:
        fields = {"version": version, "items": manifest.items}
        print_json({**fields, "files": len(files) + 1, "bytes": size})
        return
    typer.echo(
        f"{bundle}: version {version} of {manifest.items}, {len(files) + 1} files, "
        f"{size:,} bytes, all right"
    )


def push(
    bundle: Annotated[
        Path,
        typer.Argument(help="Bundle folder made by `tusou index`.", exists=True, file_okay=False),
    ],
    store: Annotated[str, typer.Argument(help="s3://BUCKET/PREFIX to copy it to.")],
    as_json: _Json = False,
) -> None:
    """Copy a bundle's current version into a store, and let its CURRENT name it."""
    from tusou_indexer.push import push as push_bundle

    location = _location(store) if "://" in store else None
    if location is None or isinstance(location, Path):
        raise typer.BadParameter("give the address of a store: s3://BUCKET/PREFIX.")
    with plain_errors(resumes=True):
        report = push_bundle(bundle, location)
    if as_json:
        print_json(asdict(report))
        return
    typer.echo(
        f"{location}: version {report.version}, {report.uploaded} files uploaded "
        f"({report.bytes:,} bytes), {report.present} were there"
    )
