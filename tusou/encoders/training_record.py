"""The record of a training run, kept beside its checkpoint as `CHECKPOINT.json`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tusou.core.errors import BadModel
from tusou.core.files import write_file


class _TrainingData(BaseModel):
    # A loss can be NaN, which JSON has no number for.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class SplitRecord(_TrainingData):
    """The data of one split, as far as it could be used."""

    source: str  # DATA#SPLIT
    images: int
    queries: int
    sha256: str  # of the images' files and of the queries


class EpochRecord(_TrainingData):
    """One pass over the train split, and the model's scores on valid after it."""

    epoch: int
    loss: float  # mean over the steps
    percent: dict[str, float]  # metric -> percent, on valid
    seconds: float  # with the validation
    step: int | None = None  # steps of the run up to the end of the epoch
    learning_rate: float | None = None  # of the epoch's last step
    pairs_per_second: float | None = None  # without the validation
    temperature: float | None = None  # that the cosines are divided by


class TrainingRecord(_TrainingData):
    """The settings, the data and the course of a finished training."""

    tool: str
    checkpoint_sha256: str
    settings: dict[str, str | int | float]
    train: SplitRecord
    valid: SplitRecord
    steps: int
    losses: tuple[tuple[int, float], ...]  # the last step of an interval, its mean loss
    start: dict[str, float] | None = None  # metric -> percent on valid, before the first step
    epochs: tuple[EpochRecord, ...]
    best_epoch: int  # 0: no epoch was better than the start, whose weights were kept
    best_mean_recall: float
    seconds: float  # of all processes, if the run was resumed
    machine: str
    date: str


def record_path(checkpoint: Path) -> Path:
    """Return the path of a checkpoint's record, whether it exists or not."""
    return checkpoint.with_name(f"{checkpoint.name}.json")


def write_record(checkpoint: Path, record: TrainingRecord) -> None:
    """Write the record beside its checkpoint."""
    write_file(record_path(checkpoint), f"{record.model_dump_json(indent=1)}\n".encode())


def read_record(checkpoint: Path) -> TrainingRecord | None:
    """Return the record beside a checkpoint, None if it has none; BadModel if it is damaged."""
    path = record_path(checkpoint)
    if not path.is_file():
        return None
    try:
        return TrainingRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise BadModel(
            f"{path} is not the record of a training by this version of `tusou train`"
        ) from None
