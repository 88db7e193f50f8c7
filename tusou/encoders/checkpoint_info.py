"""Describes a checkpoint: its towers and, if Tusou trained it, the course of its training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tusou.core.files import sha256_of
from tusou.core.lazy_import import LazyImport
from tusou.encoders.architecture import (
    ImageShape,
    Shaped,
    TextShape,
    read_image_shape,
    read_text_shape,
)
from tusou.encoders.checkpoint_shapes import read_shapes
from tusou.encoders.training_record import TrainingRecord, read_record

_READ_TENSORS = LazyImport("tusou.encoders.checkpoint:read_tensors")


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """The digest of a checkpoint, the shapes of its towers, and the record of its training."""

    path: Path
    sha256: str
    image: ImageShape
    text: TextShape
    training: TrainingRecord | None

    @property
    def changed(self) -> bool:
        """Return whether the checkpoint is no longer the one that the record is about."""
        return self.training is not None and self.training.checkpoint_sha256 != self.sha256

    def as_json(self) -> dict[str, object]:
        """Return everything as one JSON object."""
        return {
            "checkpoint": str(self.path),
            "sha256": self.sha256,
            "dim": self.image.embed_dim,
            "image_size": self.image.image_resolution,
            "changed_since_training": self.changed,
            "training": self.training.model_dump() if self.training else None,
        }

    def rows(self) -> dict[str, str]:
        """Return the lines of a readable summary: label -> text."""
        image, text = self.image, self.text
        layers = image.vision_layers
        depth = f"{layers} layers" if isinstance(layers, int) else f"stages of {layers} blocks"
        rows = {
            "sha256": self.sha256,
            "dimensions": str(image.embed_dim),
            "image tower": f"{image.image_resolution} pixels, {depth}, {image.vision_width} wide",
            "text tower": f"{text.text_num_hidden_layers} layers, {text.text_hidden_size} wide",
        }
        if self.training is None:
            return rows | {"training": "not recorded: no file beside the checkpoint"}
        if self.changed:
            return rows | {"training": "the record beside it is about another checkpoint"}
        return rows | _training_rows(self.training)


def describe_checkpoint(path: Path) -> CheckpointInfo:
    """Read a checkpoint's shapes and record; BadModel if it is not a cn_clip checkpoint."""
    tensors: Mapping[str, Shaped] | None = read_shapes(path)
    if tensors is None:  # in a format that only torch reads
        read_tensors = cast("Callable[[Path], Mapping[str, Shaped]]", _READ_TENSORS.load())
        tensors = read_tensors(path)
    image, text = read_image_shape(tensors), read_text_shape(tensors)
    return CheckpointInfo(path, sha256_of(path), image, text, read_record(path))


def _training_rows(record: TrainingRecord) -> dict[str, str]:
    rows = {
        "trained by": f"{record.tool} on {record.date}, {record.seconds:.0f} s, {record.machine}",
        "settings": ", ".join(f"{name} {value}" for name, value in record.settings.items()),
    }
    for name, split in (("train", record.train), ("valid", record.valid)):
        counts = f"{split.images:,} images, {split.queries:,} queries"
        rows[name] = f"{split.source}: {counts} (sha256 {split.sha256[:12]})"
    for epoch in record.epochs:
        scores = "  ".join(f"{name} {value:.2f}" for name, value in epoch.percent.items())
        best = "  (kept)" if epoch.epoch == record.best_epoch else ""
        rows[f"epoch {epoch.epoch}"] = (
            f"loss {epoch.loss:.4f}  {scores}  {epoch.seconds:.1f} s{best}"
        )
    return rows
