"""The output of `tusou info`: what a bundle holds, or what a model or a student is."""

from collections.abc import Mapping
from pathlib import Path

import typer

from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.location import BundleLocation
from tusou.bundle.manifest import IndexRecord, Manifest
from tusou.bundle.model_record import Model
from tusou.bundle.reuse_record import read_reuse
from tusou.cli.output import print_json
from tusou.encoders import DEMO
from tusou.encoders.forms.foreign_folders import describe_foreign_folder
from tusou.encoders.model_folder import is_model_folder
from tusou.encoders.model_info import describe_model
from tusou.encoders.student.folder import open_student
from tusou_indexer.show_student import is_student, student_rows


def is_model(text: str) -> bool:
    """Return whether the argument is a model on this machine, or something in place of one."""
    path = Path(text).expanduser()
    if text == DEMO or path.is_file():
        return True
    if not path.is_dir() or (path / CURRENT).exists():
        return False
    if is_student(path):
        return True
    return is_model_folder(path) or describe_foreign_folder(path) is not None


def show_model(model: str, *, as_json: bool) -> None:
    """Print how a model is built, and what it was converted from and trained on; BadModel.

    A student is shown with its teacher, and with what it retains of its results.
    """
    path = Path(model).expanduser()
    if is_student(path):
        student = open_student(path)
        if as_json:
            print_json(
                {"name": student.name, "sha256": student.sha256, **student.record.model_dump()}
            )
        else:
            _print_rows(student_rows(student))
        return
    described = describe_model(model)
    if as_json:
        print_json(described.as_json())
    else:
        _print_rows(described.rows())


def _read_manifest(location: BundleLocation) -> tuple[str, Manifest]:
    """Return the name and the manifest of the current version."""
    if isinstance(location, Path):
        bundle = Bundle.open(location)
        return bundle.version, bundle.manifest
    from tusou.bundle.s3_store import S3Store  # noqa: PLC0415 - imports a client of S3

    store = S3Store(location)
    version = store.current_version()
    return version, store.read_manifest(version)


def show_bundle(location: BundleLocation, *, as_json: bool) -> None:
    """Print what a bundle's current version holds; CorruptBundle and IncompatibleBundle."""
    version, manifest = _read_manifest(location)
    reused = read_reuse(location, version) if isinstance(location, Path) else []
    if as_json:
        print_json({"version": version, **manifest.model_dump(), "reused_from": reused})
        return
    source, counts, model = manifest.source, manifest.counts, manifest.model
    origin = source.path if source.split is None else f"{source.path}#{source.split}"
    rows = {
        "version": version,
        "made by": manifest.tool,
        "source": f"{origin} ({source.size:,} bytes, sha256 {source.sha256[:12]})",
        "items": f"{manifest.items}: {counts.embedded:,} of {counts.items:,}, "
        f"{counts.failed:,} failed, {counts.skipped:,} other files skipped",
        "ids": "integers" if manifest.id_type == "int" else "strings",
        "model": f"{model.name} (sha256 {model.sha256[:12]}, {model.dim} dimensions)",
        **_family_rows(model),
        "precision": str(manifest.build.get("precision", "unknown")),
        "preprocessing": manifest.preprocessing,
        "prompt": manifest.prompt_text or "none",
        "index": f"{manifest.index.factory} {manifest.index.tuning}".strip(),
        "index_recall@10": _recall_text(manifest.index),
    }
    for number, member in enumerate(model.members, start=1):
        rows[f"model {number}"] = (
            f"{member.name}, weight {member.weight:.4g} (sha256 {member.sha256[:12]}, {member.dim} "
            f"dimensions, {member.location})"
        )
    if manifest.views != "none":
        rows["views"] = f"{manifest.views}: an image's vector is the mean over them"
    if manifest.stages.names:
        rows["stages"] = ", ".join(manifest.stages.names)
    if (given := manifest.vector_source) is not None:
        rows["vectors of"] = (
            f"{given.name} ({given.dtype}, {given.size:,} bytes, sha256 {given.sha256[:12]}, "
            f"{given.scaled:,} scaled)"
        )
        if not given.encoder:
            rows["model"] = f"none: queries are vectors of {model.dim} dimensions, or items"
    if manifest.attributes is not None:
        kinds = (f"{name} ({kind})" for name, kind in manifest.attributes.items())
        rows["attributes"] = ", ".join(kinds)
    if manifest.attribute_source is not None:
        file = manifest.attribute_source
        rows["attributes of"] = (
            f"{file.name} ({file.rows:,} rows, {file.unknown:,} of unknown items, "
            f"sha256 {file.sha256[:12]})"
        )
    if reused:
        taken = (f"{part['items']:,} of version {part['version']}" for part in reused)
        rows["reused"] = f"vectors of other versions: {', '.join(taken)}"
    if manifest.items == "texts":
        rows["truncated"] = f"{counts.truncated:,} texts longer than the model reads"
    _print_rows(rows)


def _family_rows(model: Model) -> dict[str, str]:
    """Return what is worth knowing of models of other families, and the licences of all."""
    parts = [part for part in model.parts if part.encoder is not None or part.license]
    rows = {}
    for part in parts:
        warning = ", which forbids commercial use" if part.is_non_commercial else ""
        name = "family" if len(model.parts) == 1 else f"family of {part.name}"
        rows[name] = f"{part.family}, licence {part.license or 'not named'}{warning}"
        if part.source is not None:
            rows[f"{name} from"] = f"{part.source.hub}: {part.source.id}@{part.source.revision}"
    return rows


def _print_rows(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")


def _recall_text(index: IndexRecord) -> str:
    if index.index_recall_at_10 is None:
        return "1 (exact)"
    missed = f", below the target of {index.target_recall:g}" if index.missed_target else ""
    return f"{index.index_recall_at_10:.4f} (measured{missed})"
