"""Writes small bundles of given vectors, without a model: for tests and benchmarks of changes."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from tusou_indexer.hub_files import correct_hubs

from tusou.attributes.schema import Attributes, AttributeSchema
from tusou.attributes.table import AttributeTable
from tusou.bundle.array_file import save_array
from tusou.bundle.bundle import CURRENT, Bundle
from tusou.bundle.manifest import (
    ATTRIBUTES,
    FAILURES,
    FILES,
    FORMAT,
    GOLDEN,
    IDS,
    INDEX,
    MANIFEST,
    SPANS,
    VECTORS,
    version_of,
)
from tusou.core.arrays import Vectors
from tusou.core.files import sha256_of
from tusou.core.ids import ItemKind, is_canonical_integer
from tusou.indexes import create_index
from tusou.indexes.specs import FaissSpec
from tusou.stages.hub_bias import HubCorrection

MODEL = "ab" * 32  # the digest of the weights that are said to have encoded the items


def unit_vectors(count: int, seed: int, dim: int = 16) -> Vectors:
    """Draw unit vectors, (count, dim)."""
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    unit: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def write_vector_bundle(
    root: Path,
    ids: Sequence[str],
    vectors: Vectors,
    contents: Sequence[bytes],
    schema: AttributeSchema | None = None,
    attributes: Sequence[Attributes] = (),
    *,
    items: ItemKind = "images",
    model: str = MODEL,
    hub: HubCorrection | None = None,
    collection: Mapping[str, str] | None = None,
) -> Bundle:
    """Publish a version with an exact index; its source is one file of all contents.

    With a `collection` the manifest says that the index is on Milvus.
    """
    folder, source = root / "new", root.parent / f"{root.name}-items.bin"
    root.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    source.write_bytes(b"".join(contents))
    lengths = np.array([len(content) for content in contents], np.int64)
    checks = np.array([crc32(content) for content in contents], np.int64)
    files = np.zeros(len(ids), np.int64)
    spans = np.column_stack([files, np.cumsum(lengths) - lengths, lengths, checks])
    (folder / IDS).write_bytes("".join(f"{item_id}\n" for item_id in ids).encode())
    save_array(folder / VECTORS, vectors)
    save_array(folder / SPANS, spans)
    (folder / FILES).write_text('["."]\n')
    (folder / FAILURES).touch()
    golden = {"texts": ["连衣裙"], "vectors": unit_vectors(1, 0, vectors.shape[1]).tolist()}
    (folder / GOLDEN).write_text(json.dumps(golden))
    if schema:
        AttributeTable.from_rows(schema, attributes).write(folder / ATTRIBUTES)
    searched = correct_hubs(vectors, hub, folder)
    index = create_index(FaissSpec("Flat"), searched.shape[1])
    index.fill(searched)
    index.save(folder / INDEX)
    manifest = _manifest(source, ids, vectors.shape[1], items, model)
    manifest["attributes"] = dict(schema) if schema else None
    if hub is not None:
        record = {"bank_sha256": "00" * 32, "bank_size": len(hub.bank), "k": hub.k}
        manifest["stages"] = {"hub": {**record, "alpha": hub.alpha}}
    if collection:
        manifest["index"] |= {"type": "milvus", "factory": "milvus", "collection": dict(collection)}
    manifest["files"] = {
        path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.iterdir())
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    version = version_of(folder / MANIFEST)
    shutil.rmtree(root / version, ignore_errors=True)
    folder.rename(root / version)
    (root / CURRENT).write_text(version + "\n")
    return Bundle.open(root)


def _manifest(
    source: Path, ids: Sequence[str], dim: int, items: ItemKind, model: str
) -> dict[str, Any]:
    count = len(ids)
    described: Mapping[str, Any] = {
        "path": str(source.absolute()),
        "split": None,
        "encoding": "raw",
        "files": 1,
        "size": source.stat().st_size,
        "sha256": sha256_of(source),
    }
    return {
        "format": FORMAT,
        "tool": "tusou benchmark",
        "items": items,
        "source": described,
        "model": {
            "name": "demo",
            "location": "demo",
            "sha256": model,
            "dim": dim,
            "image_size": 32,
        },
        "preprocessing": "none",
        "prompt": None,
        "id_type": "int" if all(map(is_canonical_integer, ids)) else "str",
        "counts": {"items": count, "embedded": count, "failed": 0, "truncated": 0, "skipped": 0},
        "index": {"type": "faiss", "factory": "Flat", "tuning": "", "index_recall_at_10": None},
        "build": {"index": "auto", "target_recall": "default", "index_device": "cpu"},
    }
