"""Writes a model in another form, reads it back, and records its source."""

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from tusou import __version__
from tusou.bundle.model_record import CHINESE_CLIP
from tusou.core.errors import BadModel, OutputExists
from tusou.core.files import temporary_of
from tusou.encoders import Weights, find_license, find_weights, image_transform
from tusou.encoders.checkpoint import read_weights
from tusou.encoders.conversion_record import (
    ConversionRecord,
    conversion_path,
    read_conversion,
    write_conversion,
)
from tusou.encoders.families import find_family
from tusou.encoders.training_record import read_record
from tusou_lab.convert_model.cn_clip_form import write_checkpoint
from tusou_lab.convert_model.transformers_form import write_folder

Form: TypeAlias = Literal["cnclip", "transformers"]

# Writes a Chinese-CLIP model, its tensors by cn_clip's names, to a path that does not exist.
ModelWriter: TypeAlias = Callable[[Weights, Mapping[str, Tensor], Path], None]

WRITERS: Mapping[Form, ModelWriter] = {"cnclip": write_checkpoint, "transformers": write_folder}


def convert_model(model: str, to: Form, out: Path, *, force: bool = False) -> ConversionRecord:
    """Write a Chinese-CLIP model in the form `to`, with its record beside it.

    Raises BadModel for a model that has no such form, OutputExists if `out` exists, unless this
    command made it and `force` is set.
    """
    _check_output(out, force=force)
    weights = find_weights(model)
    _check_family(weights)
    tensors = read_weights(weights)
    temporary = temporary_of(out)
    _remove(temporary)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        WRITERS[to](weights, tensors, temporary)
        digest = _check_written(temporary, weights, tensors)
        _remove(out)
        temporary.rename(out)
    finally:
        _remove(temporary)
    record = _record(model, weights, to, digest)
    write_conversion(out, record)
    return record


def _check_output(out: Path, *, force: bool) -> None:
    if (out.exists() or out.is_symlink()) and not (force and conversion_path(out).is_file()):
        advice = "choose another --out" if force else "choose another --out or pass --force"
        raise OutputExists(f"{out} exists{' and was not made by convert-model' * force}: {advice}")


def _check_family(weights: Weights) -> None:
    family = find_family(weights)
    if family.name != CHINESE_CLIP:
        raise BadModel(
            f"{weights.name} is of the family {family.name}: --to cnclip and --to transformers "
            "write Chinese-CLIP alone. Other models are used in the form that they have"
        )


def _check_written(path: Path, source: Weights, tensors: Mapping[str, Tensor]) -> str:
    """Return the digest of the model that was written; BadModel if it computes something else."""
    weights = find_weights(str(path))
    written = read_weights(weights)
    same = written.keys() == tensors.keys() and all(
        torch.equal(written[name].float(), tensors[name].float()) for name in tensors
    )
    if not (same and _settings(weights) == _settings(source)):
        raise BadModel(f"{source.name} cannot be written in this form: its vectors would change")
    return weights.digest


def _settings(weights: Weights) -> tuple[object, ...]:
    family = find_family(weights)
    shapes = (family.read_shape(weights, tower) for tower in ("text", "image"))
    return (*shapes, image_transform(weights))


def _record(model: str, weights: Weights, form: Form, digest: str) -> ConversionRecord:
    training = read_record(weights.path)
    if training is not None and training.checkpoint_sha256 != weights.digest:
        training = None
    earlier = read_conversion(weights.path)
    if training is None and earlier is not None and earlier.sha256 == weights.digest:
        training = earlier.training
    return ConversionRecord(
        tool=f"tusou {__version__}",
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        form=form,
        source=model,
        source_sha256=weights.digest,
        sha256=digest,
        training=training,
        license=find_license(weights),
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
