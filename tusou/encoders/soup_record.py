"""The record of an average of models, kept beside it as `MODEL.soup.json`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tusou.core.errors import BadModel
from tusou.core.files import write_file
from tusou.encoders.training_record import SplitRecord


class SoupMember(BaseModel):
    """A model and its share of the average."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str  # as it was named on the command line
    sha256: str
    share: float  # 0 if it was tried and left out
    mean_recall: float | None  # alone, on `valid`, in percent


class SoupRecord(BaseModel):
    """The result of `tusou soup`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    date: str
    method: Literal["greedy", "uniform"]
    sha256: str  # of the model that was written
    members: tuple[SoupMember, ...]
    valid: SplitRecord | None  # the data that the members and their shares were chosen on
    mean_recall: float | None  # of the average, on `valid`, in percent
    prompt: str = ""  # the template of the queries of its members' trainings; empty: none


def soup_path(model: Path) -> Path:
    """Return the path of a model's record, whether it exists or not."""
    return model.with_name(f"{model.name}.soup.json")


def write_soup(model: Path, record: SoupRecord) -> None:
    """Write the record beside its model."""
    write_file(soup_path(model), f"{record.model_dump_json(indent=1)}\n".encode())


def read_soup(model: Path) -> SoupRecord | None:
    """Return the record beside a model, None if it has none; BadModel if it is damaged."""
    path = soup_path(model)
    if not path.is_file():
        return None
    try:
        return SoupRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise BadModel(f"{path} is not the record of a soup by this version") from None
