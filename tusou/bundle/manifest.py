"""The manifest: everything that says how a bundle's version was made and what it must hold."""

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
    """The pool a bundle was made from."""

    path: str  # absolute; what `files.json` names lies below it
    split: str | None  # which part of what is there
    encoding: Encoding
    files: int
    size: int  # of all files together
    sha256: str


class Model(_Record):
    """The weights that encoded the images, and must encode the queries."""

    name: str
    location: str  # what finds them again: a published name, `demo` or a path
    sha256: str
    dim: int
    image_size: int


class Counts(_Record):
    """`items == embedded + failed`, always."""

    items: int
    embedded: int
    failed: int
    truncated: int  # of the embedded, texts longer than the model reads


class TuningTrial(_Record):
    """One index that was measured, with one setting of its search parameters."""

    factory: str
    tuning: str
    index_recall_at_10: float


class IndexRecord(_Record):
    """The index as FAISS describes it, and the recall that chose its parameters."""

    type: Literal["exact", "faiss", "torch"]
    factory: str
    tuning: str
    index_recall_at_10: float | None
    trials: tuple[TuningTrial, ...] = ()  # everything measured on the way, in order


class FileRecord(_Record):
    """What one file must be."""

    size: int
    sha256: str


class Manifest(_Record):
    """Everything that says how a version was made."""

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
    """Name a version after its manifest, which in turn names the digest of every other file."""
    return sha256_of(manifest)[:16]


def read_manifest(folder: Path) -> Manifest:
    """Read and check a version's manifest; CorruptBundle or IncompatibleBundle."""
    try:
        data = (folder / MANIFEST).read_bytes()
        found = json.loads(data)["format"]
    except (OSError, ValueError, TypeError, KeyError):
        raise CorruptBundle(
            f"{folder} has no readable {MANIFEST}; run `tusou index` again"
        ) from None
    if found != FORMAT:
        raise IncompatibleBundle(
            f"{folder} has bundle format {found}, this Tusou reads {FORMAT}; "
            "index again, or use the Tusou that wrote it"
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise CorruptBundle(f"{folder / MANIFEST}: wrong value at {where}") from None
