"""Publishing of a finished version: verification, a test search, and the change of CURRENT."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tusou.bundle.biased_vectors import as_queries
from tusou.bundle.bundle import Bundle
from tusou.bundle.manifest import INDEX, MANIFEST, read_manifest, version_of
from tusou.bundle.old_versions import remove_old
from tusou.bundle.publication import put_in_place, switch_current
from tusou.bundle.reuse_record import write_reuse
from tusou.bundle.shards import ReusedRows
from tusou.core.errors import CorruptBundle
from tusou.core.files import sync
from tusou.indexes import load_index
from tusou.indexes.specs import MilvusAccess, index_spec
from tusou_indexer.version_collection import point_alias, releasing

_PROBES = 64
_PROBE_SECONDS = 60.0  # a server may still be loading what it was given


def publish(
    root: Path,
    folder: Path,
    reused: Sequence[ReusedRows] = (),
    milvus_uri: str | None = None,
) -> Bundle:
    """Give a written version its name and point CURRENT at it, if it works.

    What it took from other versions is recorded beside it, in `reused.json`.

    At every moment CURRENT names a complete version, if it did before: a version that is there
    already is left alone, or repaired file by file. Of the others, only the one that CURRENT named
    before stays. `milvus_uri` is the server of an index on Milvus, with user and password, in place
    of the recorded one. Raises CorruptBundle, and leaves CURRENT as it is, when the version does
    not work.
    """
    name = version_of(folder / MANIFEST)
    written = Bundle(folder, read_manifest(folder), name)
    written.verify()
    written.check_parts()
    _test_search(written, milvus_uri)
    put_in_place(written, root / name)
    sync(root)
    remove_old(root, name, releasing(milvus_uri))
    write_reuse(root, name, reused)
    point_alias(written.manifest, milvus_uri)
    return switch_current(root, name)


def _test_search(bundle: Bundle, milvus_uri: str | None) -> None:
    """Open the index and search with stored vectors; CorruptBundle if items are missing."""
    spec = index_spec(bundle.manifest.index, MilvusAccess(milvus_uri, _PROBE_SECONDS))
    index = load_index(spec, bundle.path(INDEX), vectors=bundle.index_vectors)
    rows = np.linspace(0, bundle.item_count - 1, min(_PROBES, bundle.item_count)).astype(np.int64)
    probes = np.ascontiguousarray(bundle.vectors[rows])
    if bundle.hub_bias is not None:
        probes = as_queries(probes, adjust=True)
    neighbors = index.search(probes, 1)
    if len(index) != bundle.item_count or (neighbors.ids < 0).any():
        raise CorruptBundle(f"{bundle.folder}: the index finds nothing; index again with --force")
