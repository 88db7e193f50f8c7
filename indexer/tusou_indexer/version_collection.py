"""The Milvus collections of a bundle's versions, where an index is on Milvus."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import cast

from tusou.bundle.manifest import CollectionRecord, Manifest, read_manifest
from tusou.core.arrays import Vectors
from tusou.core.errors import ArtifactError, IndexUnavailable
from tusou.core.lazy_import import LazyImport
from tusou.indexes.milvus_address import MilvusTarget
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.index.tune import TunedIndex, build_index

_MODULE = "tusou_indexer.index.collection"  # imports pymilvus
_FILL = LazyImport(f"{_MODULE}:fill_collection")
_CHECK_TARGET = LazyImport(f"{_MODULE}:check_target")
_HOLDS = LazyImport(f"{_MODULE}:holds")
_POINT_ALIAS = LazyImport(f"{_MODULE}:point_alias")
_DROP = LazyImport(f"{_MODULE}:drop_collection")


def check_target(target: MilvusTarget | None) -> None:
    """Raise IndexUnavailable and InvalidRequest before a build that could not be published."""
    if target is not None:
        cast("Callable[[MilvusTarget], None]", _CHECK_TARGET.load())(target)


def build_version_index(
    vectors: Vectors, request: IndexRequest, probes: Callable[[], Vectors], folder: Path
) -> TunedIndex:
    """Build the index of a version, as `build_index` does, or fill its collection.

    A collection takes the ids and the attributes of the items from the files in `folder`.
    """
    if request.milvus is None:
        return build_index(vectors, request, probes)
    fill = cast("Callable[[MilvusTarget, Vectors, Path], TunedIndex]", _FILL.load())
    return fill(request.milvus, vectors, folder)


def is_missing(manifest: Manifest, uri: str | None) -> bool:
    """Return whether the version's collection is gone or incomplete; False where there is none."""
    record = manifest.index.collection
    if record is None:
        return False
    holds = cast("Callable[[CollectionRecord, str, int], bool]", _HOLDS.load())
    return not holds(record, uri or record.uri, manifest.counts.embedded)


def point_alias(manifest: Manifest, uri: str | None) -> None:
    """Let the alias name the version's collection."""
    if (record := manifest.index.collection) is not None:
        change = cast("Callable[[CollectionRecord, str], None]", _POINT_ALIAS.load())
        change(record, uri or record.uri)


def releasing(uri: str | None) -> Callable[[Path, Iterable[Path]], bool]:
    """Return what `remove_old` calls before it deletes a version: its collection goes first."""
    return partial(_drop_collection, uri)


def _drop_collection(uri: str | None, version: Path, kept: Iterable[Path]) -> bool:
    """Delete the collection of a version's folder unless one of the kept versions uses it.

    Returns False when Milvus does not answer.
    """
    record = _collection_of(version)
    if record is None or record.name in {
        other.name for other in map(_collection_of, kept) if other is not None
    }:
        return True
    drop = cast("Callable[[CollectionRecord, str], None]", _DROP.load())
    try:
        drop(record, uri or record.uri)
    except IndexUnavailable:
        return False
    return True


def _collection_of(version: Path) -> CollectionRecord | None:
    try:
        return read_manifest(version).index.collection
    except ArtifactError:  # half deleted, or of another format
        return None
