"""The manifest of a bundle's version: how it was made, and the digest of every file."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from tusou.attributes.schema import AttributeType
from tusou.attributes.values import name_fault
from tusou.bundle.stages import HUB_BIAS, QUERY_BANK, Stages
from tusou.core.errors import CorruptBundle, IncompatibleBundle, InvalidRequest
from tusou.core.files import sha256_of
from tusou.core.ids import Encoding, ItemKind
from tusou.text.prompt import check_prompt

FORMAT = 4
MANIFEST = "manifest.json"
# Every file of a version besides the manifest.
IDS, VECTORS, SPANS, FILES = "ids.txt", "vectors.npy", "spans.npy", "files.json"
INDEX, GOLDEN, FAILURES = "index.bin", "golden.json", "failures.jsonl"
COMPACTED_FROM = "compacted_from"  # in `build`: the version before, of a compacted version
ATTRIBUTES, LIVE_IMAGES = "attributes.arrow", "images.bin"  # not in every version
PARTS = (IDS, VECTORS, SPANS, FILES, INDEX, GOLDEN, FAILURES)

MAX_MANIFEST_BYTES = 64 * 2**20
_MAX_DIM = 65_536  # of a vector, and pixels of an image side
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,100}")


def _check_prompt(prompt: str | None) -> str | None:
    try:
        return prompt if prompt is None else check_prompt(prompt)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _check_attribute_name(name: str) -> str:
    if fault := name_fault(name):
        raise ValueError(fault)
    return name


def _check_path(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError("not a path")
    return path


_Count = Annotated[int, Field(ge=0, lt=2**62)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Path = Annotated[str, AfterValidator(_check_path)]
_AttributeName = Annotated[str, AfterValidator(_check_attribute_name)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(_Record):
    """The data that a bundle was made from."""

    path: _Path  # absolute; the names in `files.json` are relative to it
    split: str | None  # the split of a dataset that has several
    encoding: Encoding
    files: _Count
    size: _Count  # of all files together
    sha256: _Digest


class Model(_Record):
    """The weights that encoded the images, and must encode the queries."""

    name: str
    location: _Path  # where the weights are found: a published name, `demo` or a path
    sha256: _Digest
    dim: Annotated[int, Field(ge=1, le=_MAX_DIM)]
    image_size: Annotated[int, Field(ge=1, le=_MAX_DIM)]


class AttributeSource(_Record):
    """The file of the attributes."""

    name: str  # without its folder
    size: _Count
    sha256: _Digest
    rows: _Count
    unknown: _Count  # rows of items that the source does not have


class Counts(_Record):
    """`items == embedded + failed`, always: every row of the source that should be an item."""

    items: _Count
    embedded: Annotated[_Count, Field(ge=1)]
    failed: _Count
    truncated: _Count  # embedded texts longer than the model reads
    skipped: _Count = 0  # files of the source that are not items

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if self.items != self.embedded + self.failed or self.truncated > self.embedded:
            raise ValueError("the counts do not add up")
        return self


class TuningTrial(_Record):
    """One measured index with one setting of its search parameters."""

    factory: str
    tuning: str
    index_recall_at_10: _Share


class CollectionRecord(_Record):
    """The collection of a Milvus server that holds the vectors of a version."""

    uri: _Path  # of the server, without user and password
    name: _Path
    alias: _Path  # names the collection of the published version
    ids_sha256: _Digest  # of the item ids; the collection has the same


class IndexRecord(_Record):
    """The index: type, factory string, search parameters, and the measurements behind them."""

    type: Literal["faiss", "torch", "milvus"]
    factory: str
    tuning: str
    index_recall_at_10: _Share | None
    trials: tuple[TuningTrial, ...] = ()  # all measurements, in order
    target_recall: _Share | None = None  # of an index whose recall was measured
    collection: CollectionRecord | None = None  # of type milvus

    @model_validator(mode="after")
    def _name_the_collection(self) -> Self:
        if (self.type == "milvus") != (self.collection is not None):
            raise ValueError("a collection belongs to an index of type milvus")
        return self

    @property
    def missed_target(self) -> bool:
        """Return whether the measured recall is below the target."""
        if self.index_recall_at_10 is None or self.target_recall is None:
            return False
        return self.index_recall_at_10 < self.target_recall


class ReusedVectors(_Record):
    """Vectors that were taken from another version, and not encoded for this one."""

    version: str
    items: _Count


class FileRecord(_Record):
    """Size and digest of one file."""

    size: _Count
    sha256: _Digest


class Manifest(_Record):
    """The content of `manifest.json`."""

    format: int
    tool: str
    items: ItemKind
    source: Source
    model: Model
    preprocessing: str
    prompt: Annotated[str | None, AfterValidator(_check_prompt)]
    id_type: Literal["int", "str"]
    counts: Counts
    index: IndexRecord
    build: dict[str, str | int]
    attributes: dict[_AttributeName, AttributeType] | None = None  # None without their file
    attribute_source: AttributeSource | None = None
    live_position: _Count = 0  # of the last live change that the version holds
    # Only where encoding the items again could give other last digits: see decision 8.
    reused: tuple[ReusedVectors, ...] = ()
    stages: Stages = Stages()
    files: dict[str, FileRecord]

    @property
    def is_compacted(self) -> bool:
        """Return whether live changes are in the version, which its source lacks."""
        return COMPACTED_FROM in self.build

    @model_validator(mode="after")
    def _name_every_part(self) -> Self:
        names = set(self.files)
        well_named = all(map(_FILE_NAME.fullmatch, names)) and MANIFEST not in names
        if not well_named or not names.issuperset(PARTS):
            raise ValueError("files are missing or have wrong names")
        if (ATTRIBUTES in names) != (self.attributes is not None):
            raise ValueError("attributes without their file, or their file without attributes")
        hub_files = {HUB_BIAS, QUERY_BANK}
        if (hub_files & names) != (hub_files if self.stages.hub is not None else set()):
            raise ValueError("a hub correction without its files, or its files without it")
        return self


def version_of(manifest: Path) -> str:
    """Return a version's name: the digest of its manifest, which holds those of all other files."""
    return sha256_of(manifest)[:16]


def read_manifest(folder: Path) -> Manifest:
    """Read and check a version's manifest; raise CorruptBundle or IncompatibleBundle."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_MANIFEST_BYTES else b""
    except OSError:
        data = b""
    return parse_manifest(data, str(folder))


def parse_manifest(data: bytes, folder: str) -> Manifest:
    """Check the bytes of a manifest; CorruptBundle and IncompatibleBundle name the folder."""
    path = f"{folder}/{MANIFEST}"
    try:
        number = json.loads(data)["format"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CorruptBundle(
            f"{folder} has no readable {MANIFEST}; run `tusou index` again"
        ) from None
    if not isinstance(number, int) or isinstance(number, bool):
        raise CorruptBundle(f"{path}: wrong value at format")
    if number != FORMAT:
        raise IncompatibleBundle(
            f"{folder} has bundle format {number}, this Tusou reads {FORMAT}; "
            "index again, or use the Tusou that wrote it"
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise CorruptBundle(f"{path}: wrong value at {where or 'the top'}") from None
