"""The base of the manifest's records, and the types that several of them use."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_MAX_DIM = 65_536  # of a vector, and pixels of an image side


def _check_path(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError("not a path")
    return path


Count = Annotated[int, Field(ge=0, lt=2**62)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Dimension = Annotated[int, Field(ge=1, le=_MAX_DIM)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
RecordedPath = Annotated[str, AfterValidator(_check_path)]


class Record(BaseModel):
    """A part of the manifest: unknown fields and other types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
