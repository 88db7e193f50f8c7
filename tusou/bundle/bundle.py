"""The index bundle: a folder of versions, one of which CURRENT names.

BUNDLE/CURRENT              one line: the version to serve
BUNDLE/<version>/           written once, never changed
    manifest.json           how it was made; size and SHA-256 of every other file
    ids.txt                 item ids, one a line; the line number is the row key
    vectors.npy             (n, d) float32 unit vectors, row key order
    spans.npy               (n, 4) int64: file, byte offset, length and CRC-32 of each item; zeros
                            for one that is known by its vector alone
    content.npy             (n, 16) uint8 digests of the items, for later builds; optional
    files.json              the source's files by number, relative to the manifest's source
    index.bin               the vector index, without the vectors that are in vectors.npy
    golden.json             texts and their vectors, encoded again at every start
    failures.jsonl          lines of the source that could not be used
    query_bank.npy          (m, d) float32 unit vectors of queries, of a version with stages that
                            need them
    hub_bias.npy            (n, 1) float16: what the hub correction subtracts from an item's
                            cosines; (n, 2) with an inverted softmax: 1 for an item that is the
                            nearest of a query of the bank
    attributes.arrow        the items' attributes in row key order, if there are any
    calibration.json        relevance of hits as a function of their scores, optional
    images.bin              contents of items that came live, in a compacted version; the file
                            number of their spans is one past those of the source
"""

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tusou.bundle.array_file import load_array, map_array
from tusou.bundle.biased_vectors import Bias, BiasedVectorFile, biased_dim
from tusou.bundle.bundle_parts import (
    check_vectors,
    count_failures,
    read_attributes,
    read_file_names,
    read_golden,
    read_hub_bias,
    read_spans,
)
from tusou.bundle.calibration_file import CalibrationFile, read_calibration
from tusou.bundle.content import CONTENT, read_content_digests
from tusou.bundle.item_ids import ItemIds
from tusou.bundle.item_reader import decode_stored_image, decode_stored_text, read_span
from tusou.bundle.manifest import (
    ATTRIBUTES,
    FAILURES,
    FILES,
    GOLDEN,
    IDS,
    INDEX,
    LIVE_IMAGES,
    MANIFEST,
    SPANS,
    VECTORS,
    Manifest,
    read_manifest,
    version_of,
)
from tusou.bundle.model_record import ModelMember
from tusou.bundle.pool_sample import PoolSample, draw_sample
from tusou.bundle.refinement import vector_bytes
from tusou.bundle.stages import CALIBRATION, HUB_BIAS, QUERY_BANK
from tusou.bundle.vector_file import VECTOR_TYPE, VectorFile
from tusou.core.arrays import Vectors
from tusou.core.errors import CorruptBundle, NoImage, UnknownItem
from tusou.core.files import sha256_of
from tusou.core.ids import Encoding, ItemKind
from tusou.images.formats import content_type

if TYPE_CHECKING:
    from tusou.attributes.table import AttributeTable

CURRENT = "CURRENT"
LIVE = "live"  # beside the versions: the log of live changes

_MAX_FAULTS = 20  # files that one message names
_VERSION = re.compile(r"[0-9a-f]{16}")


class Bundle:
    """One version of a bundle, opened read-only."""

    def __init__(self, folder: Path, manifest: Manifest, version: str | None = None) -> None:
        self.folder = folder
        self.version = version or folder.name  # given while a version is still being written
        self.manifest = manifest

    @classmethod
    def open(cls, root: Path, version: str | None = None) -> Self:
        """Open the version that CURRENT names, or another one, without reading the large files.

        Raises CorruptBundle and IncompatibleBundle.
        """
        folder = root / (version or current_version(root))
        return cls(folder, read_manifest(folder))

    def verify(self) -> None:
        """Compare every byte with the manifest; CorruptBundle lists all files that differ."""
        files = self.manifest.files
        wrong = [name for name in files if not self.is_intact(name)]
        try:
            foreign = {path.name for path in self.folder.iterdir()} - {MANIFEST, *files}
            renamed = version_of(self.path(MANIFEST)) != self.version
        except OSError:  # deleted meanwhile, or the disk fails
            foreign, renamed = set(), True
        wrong += [*sorted(foreign), *([MANIFEST] if renamed else ())]
        if wrong:
            more = f" and {len(wrong) - _MAX_FAULTS} more" if len(wrong) > _MAX_FAULTS else ""
            raise CorruptBundle(
                f"{self.folder}: changed, missing or foreign files: "
                f"{', '.join(wrong[:_MAX_FAULTS])}{more}; "
                "restore the folder or run `tusou index` again with --force"
            )

    def is_intact(self, name: str) -> bool:
        """Return whether a file has the size and the digest of the manifest."""
        path, record = self.path(name), self.manifest.files[name]
        try:
            same_size = path.is_file() and path.stat().st_size == record.size
            return same_size and sha256_of(path) == record.sha256
        except OSError:
            return False

    def check_parts(self) -> None:
        """Raise CorruptBundle unless all files agree with each other and with the manifest.

        `verify` compares bytes with digests; this checks the content.
        """
        counts = self.manifest.counts
        check_vectors(self.path(VECTORS), self.vectors)
        parts = {"ids": len(self.ids), "spans": len(self.spans), "vectors": len(self.vectors)}
        failures = count_failures(self.path(FAILURES))
        if set(parts.values()) != {counts.embedded} or failures != counts.failed:
            raise CorruptBundle(
                f"{self.folder}: {counts.embedded} items and {counts.failed} failures in the "
                f"manifest, but {parts} and {failures} failures in the files; index again"
            )
        _ = self.golden, self.source_files, self.attributes, self.hub_bias, self.calibration
        check_vectors(self.path(QUERY_BANK), self.query_bank)
        if CONTENT in self.manifest.files:
            read_content_digests(self.path(CONTENT), counts.embedded)

    def path(self, name: str) -> Path:
        return self.folder / name

    @cached_property
    def ids(self) -> ItemIds:
        """The item ids by row key; CorruptBundle, as for all parts below."""
        return ItemIds(self.path(IDS), integers=self.manifest.id_type == "int")

    @property
    def least_memory(self) -> int:
        """The bytes of what is loaded into memory: files, and the vectors that the index compares.

        Other files are mapped or small.
        """
        files = self.manifest.files
        loaded = sum(files[name].size for name in (INDEX, SPANS, ATTRIBUTES) if name in files)
        return loaded + self.item_count * self.index_dim * vector_bytes(self.manifest.index)

    @property
    def model_name(self) -> str:
        return self.manifest.model.name

    @property
    def models(self) -> tuple[ModelMember, ...]:
        """The models that encode queries; none where the bundle has no encoder."""
        return self.manifest.model.parts if self.manifest.has_encoder else ()

    @property
    def dim(self) -> int:
        """The length of the model's vectors."""
        return self.manifest.model.dim

    @property
    def index_dim(self) -> int:
        """The length of the vectors in the index, which may have a bias."""
        return self.dim if self.manifest.stages.hub is None else biased_dim(self.dim)

    @property
    def id_type(self) -> Literal["int", "str"]:
        """The type of item ids in JSON."""
        return self.manifest.id_type

    @property
    def items(self) -> ItemKind:
        return self.manifest.items

    @property
    def item_count(self) -> int:
        """The number of items that can be found."""
        return self.manifest.counts.embedded

    @cached_property
    def vectors(self) -> Vectors:
        """The items' vectors in row key order, (n, d), mapped from the file.

        If the file is truncated while it is mapped, reading ends the process by SIGBUS.
        """
        return map_array(self.path(VECTORS), VECTOR_TYPE, self._vectors_shape)

    @cached_property
    def vector_file(self) -> VectorFile:
        """The same vectors for a service, which must survive changes to the file."""
        return VectorFile(self.path(VECTORS), self._vectors_shape)

    @cached_property
    def index_vectors(self) -> VectorFile:
        """The vectors as they are in the index: with biases where hubs are corrected."""
        if self.hub_bias is None:
            return self.vector_file
        return BiasedVectorFile(self.path(VECTORS), self._vectors_shape, self.hub_bias)

    @cached_property
    def hub_bias(self) -> Bias | None:
        """The biases of the hub correction by row key, (n,); None without one."""
        columns = self._hub_columns
        return None if columns is None else columns[:, 0]

    @cached_property
    def nearest_items(self) -> npt.NDArray[np.bool_] | None:
        """A mask of the items nearest to a query of the bank, (n,); None without a softmax."""
        columns = self._hub_columns
        return None if columns is None or columns.shape[1] < 2 else columns[:, 1] > 0

    @cached_property
    def _hub_columns(self) -> npt.NDArray[np.float32] | None:
        stages = self.manifest.stages
        if stages.hub is None:
            return None
        columns = 1 if stages.softmax is None else 2
        return read_hub_bias(self.path(HUB_BIAS), (self.item_count, columns))

    @cached_property
    def query_bank(self) -> Vectors:
        """The vectors of the queries that stages compare items with, (m, d); (0, d) without any."""
        hub = self.manifest.stages.hub
        if hub is None:
            return np.empty((0, self.dim), np.float32)
        return load_array(self.path(QUERY_BANK), VECTOR_TYPE, (hub.bank_size, self.dim))

    @property
    def _vectors_shape(self) -> tuple[int, int]:
        return self.item_count, self.manifest.model.dim

    @cached_property
    def golden(self) -> tuple[list[str], Vectors]:
        """Texts and their vectors, (n, d), to check the model at every start."""
        return read_golden(self.path(GOLDEN), self.manifest)

    @cached_property
    def sample(self) -> PoolSample:
        """A fixed random sample of the items, drawn at the first use."""
        _, golden_vectors = self.golden
        return draw_sample(self.vector_file, self.ids.at, golden_vectors)

    @cached_property
    def spans(self) -> npt.NDArray[np.int64]:
        """File number, byte offset, length and CRC-32 of every item, (n, 4)."""
        return read_spans(self.path(SPANS), self.manifest)

    @cached_property
    def attributes(self) -> "AttributeTable | None":
        """The attributes of the items, None if the version has none."""
        if self.manifest.attributes is None:
            return None
        return read_attributes(self.path(ATTRIBUTES), self.manifest)

    @cached_property
    def calibration(self) -> CalibrationFile | None:
        """The functions from scores to relevance, None if the version has none."""
        if self.manifest.stages.calibration is None:
            return None
        return read_calibration(self.path(CALIBRATION), self.dim)

    @cached_property
    def source_files(self) -> list[Path]:
        """The files of the source, by number."""
        names = read_file_names(self.path(FILES), self.manifest)
        return [Path(self.manifest.source.path, name) for name in names]

    def image(self, item_id: str) -> tuple[bytes, str]:
        """Read an item's image from the source: its bytes and media type.

        Raises UnknownItem when there is no such id, or when the source's file is missing or has
        changed, and NoImage when the items are texts, or the item was indexed by its vector alone.
        """
        if self.items == "texts":
            raise NoImage("the items of this index are texts and have no images")
        data = decode_stored_image(*self._read_stored(item_id))
        return data, content_type(data)

    def text(self, item_id: str) -> str | None:
        """Read an item's text from the source, None where items are images.

        Raises UnknownItem, and NoImage as `image` does.
        """
        if self.items == "texts":
            return decode_stored_text(*self._read_stored(item_id))
        self.key(item_id)
        return None

    def _read_stored(self, item_id: str) -> tuple[bytes, Encoding]:
        """Read an item's bytes; UnknownItem unless they have the checksum of the indexing."""
        file, offset, length, check = self.spans[self.key(item_id)].tolist()
        if not length:
            raise NoImage("the item was indexed by its vector alone and has no content")
        was_live = file == self.manifest.source.files
        path = self.path(LIVE_IMAGES) if was_live else self.source_files[file]
        try:
            stored = read_span(path, offset, length)
        except OSError:
            stored = b""
        if crc32(stored) != check:
            raise UnknownItem("the source's file is missing or has changed since indexing")
        return stored, "raw" if was_live else self.manifest.source.encoding

    def key(self, item_id: str) -> int:
        """Return the row key of an id given as text; UnknownItem."""
        key = self.ids.key(item_id)
        if key is None:
            raise UnknownItem("the index holds no item of this id")
        return key


def is_version(name: str) -> bool:
    """Return whether a folder's name is that of a version."""
    return _VERSION.fullmatch(name) is not None


def current_version(root: Path) -> str:
    """Return the version that CURRENT names; CorruptBundle when there is none."""
    try:
        data = (root / CURRENT).read_bytes()
    except OSError:
        data = b""
    return parse_current(data, str(root))


def parse_current(data: bytes, root: str) -> str:
    """Return the version that the bytes of CURRENT name; CorruptBundle names the bundle."""
    version = data.decode(errors="replace").strip()
    if not version:
        raise CorruptBundle(
            f"{root} is not a bundle: it has no {CURRENT}; make one with `tusou index`"
        )
    if not is_version(version):
        raise CorruptBundle(
            f"{root}/{CURRENT} does not name a version; write the name of one into it"
        )
    return version
