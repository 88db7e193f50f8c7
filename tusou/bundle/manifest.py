"""The manifest of a bundle's version: how it was made, and the digest of every file."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)

from tusou.attributes.schema import AttributeType
from tusou.attributes.values import name_fault
from tusou.bundle.model_record import Model
from tusou.bundle.record import Count, Digest, Record, RecordedPath, Share
from tusou.bundle.stages import HUB_BIAS, QUERY_BANK, Stages
from tusou.core.errors import CorruptBundle, IncompatibleBundle, InvalidRequest
from tusou.core.files import sha256_of
from tusou.core.ids import Encoding, ItemKind
from tusou.images.transform import Transforms, join_transforms
from tusou.images.views import Views
from tusou.text.prompt import check_prompt

FORMAT = 4
MANIFEST = "manifest.json"
# Every file of a version besides the manifest.
IDS, VECTORS, SPANS, FILES = "ids.txt", "vectors.npy", "spans.npy", "files.json"
INDEX, GOLDEN, FAILURES = "index.bin", "golden.json", "failures.jsonl"
COMPACTED_FROM = "compacted_from"  # in `build`: the version before, of a compacted version
ATTRIBUTES, LIVE_IMAGES = "attributes.arrow", "images.bin"  # not in every version
PARTS = (IDS, VECTORS, SPANS, FILES, INDEX, GOLDEN, FAILURES)

MAX_PROMPTS = 100
MAX_MANIFEST_BYTES = 64 * 2**20
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,100}")


def _check_prompt(prompt: str | None) -> str | None:
    try:
        return prompt if prompt is None else check_prompt(prompt)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _check_prompts(prompts: tuple[str, ...]) -> tuple[str, ...]:
    if len(prompts) == 1 or len(prompts) > MAX_PROMPTS:
        raise ValueError("a mean of prompts has several")
    for prompt in prompts:
        _check_prompt(prompt)
    return prompts


def _check_views(views: str) -> str:
    try:
        return str(Views.parse(views))
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _check_attribute_name(name: str) -> str:
    if fault := name_fault(name):
        raise ValueError(fault)
    return name


_AttributeName = Annotated[str, AfterValidator(_check_attribute_name)]


class Source(Record):
    """The data that a bundle was made from."""

    path: RecordedPath  # absolute; the names in `files.json` are relative to it
    split: str | None  # the split of a dataset that has several
    encoding: Encoding
    files: Count
    size: Count  # of all files together
    sha256: Digest


class AttributeSource(Record):
    """The file of the attributes."""

    name: str  # without its folder
    size: Count
    sha256: Digest
    rows: Count
    unknown: Count  # rows of items that the source does not have


class VectorSource(Record):
    """The file of vectors that a bundle was made from, where its items were not encoded."""

    name: str  # without its folder
    size: Count
    sha256: Digest
    ids_sha256: Digest  # of the file of ids
    dtype: str  # of the numbers in the file
    scaled: Count  # vectors that were not of unit length
    encoder: bool  # False: `model` stands for the vectors, and no text can be encoded


class Counts(Record):
    """`items == embedded + failed`, always: every row of the source that should be an item."""

    items: Count
    embedded: Annotated[Count, Field(ge=1)]
    failed: Count
    truncated: Count  # embedded texts longer than the model reads
    skipped: Count = 0  # files of the source that are not items

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if self.items != self.embedded + self.failed or self.truncated > self.embedded:
            raise ValueError("the counts do not add up")
        return self


class TuningTrial(Record):
    """One measured index with one setting of its search parameters."""

    factory: str
    tuning: str
    index_recall_at_10: Share


class CollectionRecord(Record):
    """The collection of a Milvus server that holds the vectors of a version."""

    uri: RecordedPath  # of the server, without user and password
    name: RecordedPath
    alias: RecordedPath  # names the collection of the published version
    ids_sha256: Digest  # of the item ids; the collection has the same


class IndexRecord(Record):
    """The index: type, factory string, search parameters, and the measurements behind them."""

    type: Literal["faiss", "torch", "milvus"]
    factory: str
    tuning: str
    index_recall_at_10: Share | None
    trials: tuple[TuningTrial, ...] = ()  # all measurements, in order
    target_recall: Share | None = None  # of an index whose recall was measured
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


class ReusedVectors(Record):
    """Vectors that were taken from another version, and not encoded for this one."""

    version: str
    items: Count


class FileRecord(Record):
    """Size and digest of one file."""

    size: Count
    sha256: Digest


class Manifest(Record):
    """The content of `manifest.json`."""

    format: int
    tool: str
    items: ItemKind
    source: Source
    model: Model
    preprocessing: str
    prompt: Annotated[str | None, AfterValidator(_check_prompt)]
    # Instead of one prompt: a query's vector is the mean over these.
    prompts: Annotated[tuple[str, ...], AfterValidator(_check_prompts)] = ()
    # An image's vector is the mean over these views of it; `none` is the image alone.
    views: Annotated[str, AfterValidator(_check_views)] = "none"
    id_type: Literal["int", "str"]
    counts: Counts
    index: IndexRecord
    build: dict[str, str | int]
    attributes: dict[_AttributeName, AttributeType] | None = None  # None without their file
    attribute_source: AttributeSource | None = None
    vector_source: VectorSource | None = None  # None where the items were encoded
    live_position: Count = 0  # of the last live change that the version holds
    # Only where encoding the items again could give other last digits: see decision 8.
    reused: tuple[ReusedVectors, ...] = ()
    stages: Stages = Stages()
    files: dict[str, FileRecord]

    @property
    def is_compacted(self) -> bool:
        """Return whether live changes are in the version, which its source lacks."""
        return COMPACTED_FROM in self.build

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates that a query is put into; several give the mean of their vectors."""
        return self.prompts or (() if self.prompt is None else (self.prompt,))

    @property
    def transform(self) -> Transforms:
        """The transform of the models' images, to larger ones where views are cut from them."""
        views = Views.parse(self.views)
        transforms = [part.transform for part in self.model.parts]
        return join_transforms(
            [transform.resized(views.decoded_size(transform.side)) for transform in transforms]
        )

    @property
    def prompt_text(self) -> str | None:
        """The templates in one line, None without any."""
        return " | ".join(self.templates) or None

    @property
    def has_encoder(self) -> bool:
        """Return whether there is a model that encodes queries."""
        return self.vector_source is None or self.vector_source.encoder

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
        if self.stages.softmax is not None and self.stages.hub is None:
            raise ValueError("an inverted softmax without a query bank")
        if self.prompt is not None and self.prompts:
            raise ValueError("a prompt beside several prompts")
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
