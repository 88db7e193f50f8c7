"""The manifest of a bundle's version: how it was made, and the digest of every file."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tusou.core.errors import CorruptBundle, IncompatibleBundle
from tusou.core.files import sha256_of
from tusou.core.ids import Encoding, ItemKind

FORMAT = 3
MANIFEST = "manifest.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(_Record):
    """The data that a bundle was made from."""

    path: str  # absolute; the names in `files.json` are relative to it
    split: str | None  # the split of a dataset that has several
    encoding: Encoding
    files: int
    size: int  # of all files together
    sha256: str


class Model(_Record):
    """The weights that encoded the images, and must encode the queries."""

    name: str
    location: str  # from which they are found again: a published name, `demo` or a path
    sha256: str
    dim: int
    image_size: int


class Counts(_Record):
    """`items == embedded + failed`, always."""

    items: int
    embedded: int
    failed: int
    truncated: int  # embedded texts longer than the model reads


class TuningTrial(_Record):
    """One measured index with one setting of its search parameters."""

    factory: str
    tuning: str
    index_recall_at_10: float


class IndexRecord(_Record):
    """The index: type, factory string, search parameters, and the measurements behind them."""

    type: Literal["faiss", "torch"]
    factory: str
    tuning: str
    index_recall_at_10: float | None
    trials: tuple[TuningTrial, ...] = ()  # all measurements, in order


class FileRecord(_Record):
    """Size and digest of one file."""

    size: int
    sha256: str


class Manifest(_Record):
    """The content of `manifest.json`."""

    format: int
    tool: str
    items: ItemKind
    source: Source
    model: Model
    preprocessing: str
    prompt: str | None
    id_type: Literal["int", "str"]
    counts: Counts
    index: IndexRecord
    build: dict[str, str | int]
    files: dict[str, FileRecord]


def version_of(manifest: Path) -> str:
    """Return a version's name: the digest of its manifest, which holds those of all other files."""
    return sha256_of(manifest)[:16]


def read_manifest(folder: Path) -> Manifest:
    """Read and check a version's manifest; raise CorruptBundle or IncompatibleBundle."""
    try:
        data = (folder / MANIFEST).read_bytes()
        number = json.loads(data)["format"]
    except (OSError, ValueError, TypeError, KeyError):
        raise CorruptBundle(
            f"{folder} has no readable {MANIFEST}; run `tusou index` again"
        ) from None
    if number != FORMAT:
        raise IncompatibleBundle(
            f"{folder} has bundle format {number}, this Tusou reads {FORMAT}; "
            "index again, or use the Tusou that wrote it"
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise CorruptBundle(f"{folder / MANIFEST}: wrong value at {where}") from None
