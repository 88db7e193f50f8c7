"""Writes the files of a version that holds the items of a snapshot of live changes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np

from tusou import __version__
from tusou.attributes.table import AttributeTable
from tusou.bundle.array_file import array_header, map_array, save_array
from tusou.bundle.biased_vectors import biased_array
from tusou.bundle.content import CONTENT, read_content_digests
from tusou.bundle.item_reader import read_span
from tusou.bundle.manifest import (
    ATTRIBUTES,
    COMPACTED_FROM,
    FAILURES,
    FILES,
    GOLDEN,
    IDS,
    INDEX,
    LIVE_IMAGES,
    SPANS,
    VECTORS,
    Counts,
    Manifest,
)
from tusou.bundle.manifest_file import file_records, write_manifest
from tusou.bundle.rerank_vectors import open_rerank_vectors
from tusou.bundle.stages import CALIBRATION, RERANK_VECTORS
from tusou.bundle.vector_file import VECTOR_TYPE
from tusou.core.arrays import Ids, Vectors
from tusou.core.errors import CorruptBundle, UnknownItem
from tusou.core.files import create_file, naming_file
from tusou.live.snapshot import LiveSnapshot
from tusou.retrieval.live_biases import LiveBiases
from tusou_indexer.hub_files import write_hub_files
from tusou_indexer.index.tune import TunedIndex

_COPIED = (FAILURES, FILES, GOLDEN)
_BLOCK = 65_536  # vectors copied at once


def write_merged(
    snapshot: LiveSnapshot, folder: Path, build_index: Callable[[Vectors], TunedIndex]
) -> Manifest:
    """Write a version into an empty folder, the manifest last.

    The items of the snapshot's version come first, in their order, then those that came live, in
    order of arrival: equal scores keep their order. Raises CorruptBundle when the content of a
    live item is not in the log.
    """
    bundle = snapshot.bundle
    for name in [*_COPIED, *({CALIBRATION} & bundle.manifest.files.keys())]:
        with naming_file(folder / name):
            shutil.copyfile(bundle.path(name), folder / name)
    keys = np.flatnonzero(snapshot.visible)
    with create_file(folder / IDS) as file:
        file.writelines(f"{snapshot.id_at(key)}\n".encode() for key in keys.tolist())
    vectors = _write_vectors(snapshot, keys, folder / VECTORS)
    _write_contents(snapshot, keys, folder)
    if CONTENT in bundle.manifest.files:
        _write_digests(snapshot, keys, folder / CONTENT)
    if RERANK_VECTORS in bundle.manifest.files:
        _write_rerank_vectors(snapshot, keys, folder / RERANK_VECTORS)
    if snapshot.schema:
        rows = (snapshot.attributes.row(key) for key in keys.tolist())
        AttributeTable.from_rows(snapshot.schema, rows).write(folder / ATTRIBUTES)
    built = build_index(_add_biases(snapshot, keys, vectors, folder))
    with naming_file(folder / INDEX):
        built.index.save(folder / INDEX)
    manifest = _manifest(snapshot, built, folder)
    write_manifest(manifest, folder)
    return manifest


def _write_vectors(snapshot: LiveSnapshot, keys: Ids, path: Path) -> Vectors:
    """Write the vectors of row keys; return them mapped from the file."""
    shape = len(keys), snapshot.bundle.dim
    with create_file(path) as file:
        file.write(array_header(VECTOR_TYPE, shape))
        for start in range(0, len(keys), _BLOCK):
            vectors = snapshot.vectors(keys[start : start + _BLOCK].tolist())
            file.write(np.ascontiguousarray(vectors, VECTOR_TYPE).data)
    return map_array(path, VECTOR_TYPE, shape)


def _add_biases(snapshot: LiveSnapshot, keys: Ids, vectors: Vectors, folder: Path) -> Vectors:
    """Return the vectors to fill the index with; the files of a hub correction are written."""
    bundle = snapshot.bundle
    if bundle.hub_bias is None:
        return vectors
    bias = LiveBiases(bundle).of(snapshot).by_key[keys]
    nearest = None
    if bundle.nearest_items is not None:
        added = np.zeros(snapshot.size - snapshot.version_size, np.bool_)
        nearest = np.concatenate([bundle.nearest_items, added])[keys]
    write_hub_files(bias, bundle.query_bank, folder, nearest)
    return biased_array(vectors, bias, folder.parent)


def _write_contents(snapshot: LiveSnapshot, keys: Ids, folder: Path) -> None:
    """Write the spans of row keys, and the contents of those that are not in the source."""
    bundle = snapshot.bundle
    source_files = bundle.manifest.source.files
    version_keys = keys[keys < snapshot.version_size]
    spans = np.zeros((len(keys), 4), np.int64)
    spans[: len(version_keys)] = bundle.spans[version_keys]
    spans[len(version_keys) :, 0] = source_files
    was_live = np.flatnonzero(spans[:, 0] == source_files)
    if len(was_live):
        with create_file(folder / LIVE_IMAGES) as file:
            for place in was_live.tolist():
                content = _content(snapshot, int(keys[place]))
                spans[place, 1:] = _append(file, content)
    save_array(folder / SPANS, spans)


def _write_digests(snapshot: LiveSnapshot, keys: Ids, path: Path) -> None:
    """Write the digests of contents; zeros for live items, whose vectors a build must not reuse.

    The service that encoded them may have another precision than builds.
    """
    bundle = snapshot.bundle
    before = read_content_digests(bundle.path(CONTENT), bundle.item_count)
    version_keys = keys[keys < snapshot.version_size]
    digests = np.zeros((len(keys), before.shape[1]), before.dtype)
    digests[: len(version_keys)] = before[version_keys]
    save_array(path, digests)


def _write_rerank_vectors(snapshot: LiveSnapshot, keys: Ids, path: Path) -> None:
    """Write a larger model's vectors; zeros for live items, which it has not encoded."""
    before = open_rerank_vectors(snapshot.bundle)
    version_keys = keys[keys < snapshot.version_size]
    with create_file(path) as file:
        file.write(array_header(VECTOR_TYPE, (len(keys), before.dim)))
        for start in range(0, len(version_keys), _BLOCK):
            file.write(before.rows(version_keys[start : start + _BLOCK]).data)
        file.write(
            bytes((len(keys) - len(version_keys)) * before.dim * np.dtype(VECTOR_TYPE).itemsize)
        )


def _append(file: BinaryIO, content: bytes) -> tuple[int, int, int]:
    """Write a content; return its offset, length and CRC-32."""
    offset = file.tell()
    file.write(content)
    return offset, len(content), crc32(content)


def _content(snapshot: LiveSnapshot, key: int) -> bytes:
    if key >= snapshot.version_size:
        try:
            return snapshot.content(key)
        except UnknownItem as error:
            raise CorruptBundle(f"{snapshot.bundle.folder.parent}: {error}") from None
    _, offset, length, check = snapshot.bundle.spans[key].tolist()
    content = read_span(snapshot.bundle.path(LIVE_IMAGES), offset, length)
    if crc32(content) != check:
        raise CorruptBundle(f"{snapshot.bundle.path(LIVE_IMAGES)} has changed; restore the folder")
    return content


def _manifest(snapshot: LiveSnapshot, built: TunedIndex, folder: Path) -> Manifest:
    before = snapshot.bundle.manifest
    embedded, failed = snapshot.item_count, before.counts.failed
    counts = Counts(
        items=embedded + failed,
        embedded=embedded,
        failed=failed,
        truncated=min(before.counts.truncated, embedded),  # which items they are is not recorded
        skipped=before.counts.skipped,
    )
    changes = {
        "tool": f"tusou {__version__}",
        "counts": counts,
        "index": built.record,
        "attributes": dict(snapshot.schema) or None,
        "live_position": snapshot.position,
        "build": {**before.build, COMPACTED_FROM: snapshot.bundle.version},
        "files": file_records(folder),
    }
    return before.model_copy(update=changes)
