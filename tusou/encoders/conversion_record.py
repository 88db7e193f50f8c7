"""The record of a conversion, kept beside the model that it wrote as `MODEL.conversion.json`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tusou.core.errors import BadModel
from tusou.core.files import write_file
from tusou.encoders.training_record import TrainingRecord


class ConversionRecord(BaseModel):
    """The source and the result of `tusou convert-model`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    date: str
    form: Literal["cnclip", "transformers", "onnx"]
    source: str  # as it was named on the command line
    source_sha256: str
    sha256: str  # of the model that was written
    training: TrainingRecord | None  # of the source, if Tusou trained it
    license: str | None = None  # of the source, as its files name it


def conversion_path(model: Path) -> Path:
    """Return the path of a model's record, whether it exists or not."""
    return model.with_name(f"{model.name}.conversion.json")


def write_conversion(model: Path, record: ConversionRecord) -> None:
    """Write the record beside its model."""
    write_file(conversion_path(model), f"{record.model_dump_json(indent=1)}\n".encode())


def read_conversion(model: Path) -> ConversionRecord | None:
    """Return the record beside a model, None if it has none; BadModel if it is damaged."""
    path = conversion_path(model)
    if not path.is_file():
        return None
    try:
        return ConversionRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise BadModel(f"{path} is not the record of a conversion by this version") from None
