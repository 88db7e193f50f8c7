"""Collections of Milvus for the versions of a bundle: filled, named by an alias, and dropped."""

from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np

from tusou.attributes.schema import Attributes
from tusou.attributes.table import AttributeTable
from tusou.bundle.manifest import ATTRIBUTES, IDS, VECTORS, CollectionRecord
from tusou.bundle.stages import HUB_BIAS
from tusou.core.arrays import Vectors
from tusou.core.files import sha256_of
from tusou.indexes.milvus_address import MilvusTarget, address_of
from tusou.indexes.milvus_collection import Collection, named_by
from tusou.indexes.milvus_index import MilvusIndex
from tusou.indexes.milvus_server import MilvusServer
from tusou.indexes.specs import MilvusSpec
from tusou_indexer.index.tune import TunedIndex

_CHUNK = 10_000  # rows read from the version's files at once
_SECONDS = 10.0  # the time limit of a call while indexing


def check_target(target: MilvusTarget) -> None:
    """Raise IndexUnavailable unless the server answers, and InvalidRequest for a taken alias."""
    named_by(MilvusServer(target.uri, _SECONDS), target.alias)


def fill_collection(target: MilvusTarget, vectors: Vectors, folder: Path) -> TunedIndex:
    """Fill the collection of a version whose other files are in `folder`.

    A complete collection of the same content is used as it is, such as that of a build that was
    interrupted before it was published.
    """
    table = AttributeTable.read(folder / ATTRIBUTES) if (folder / ATTRIBUTES).exists() else None
    schema = {} if table is None else table.schema
    ids_sha256 = sha256_of(folder / IDS)
    name = f"{target.alias}_{_content_digest(folder)}"
    spec = MilvusSpec(target.uri, name, ids_sha256, tuple(sorted(schema.items())), _SECONDS)
    index = MilvusIndex(spec, vectors.shape[1])
    if not index.adopt(len(vectors)):
        with (folder / IDS).open(encoding="utf-8", newline="\n") as ids:
            for start in range(0, len(vectors), _CHUNK):
                stop = min(start + _CHUNK, len(vectors))
                keys = np.arange(start, stop)
                item_ids = [line.removesuffix("\n") for line in islice(ids, stop - start)]
                index.add(keys, vectors[start:stop], item_ids, _rows(table, start, stop))
    record = CollectionRecord(
        uri=address_of(target.uri), name=name, alias=target.alias, ids_sha256=ids_sha256
    )
    return TunedIndex(index, spec, None, collection=record)


def holds(record: CollectionRecord, uri: str, count: int) -> bool:
    """Return whether the collection of a version is there, with all its rows."""
    collection = Collection(MilvusServer(uri, _SECONDS), record.name)
    return (
        collection.exists()
        and collection.ids_sha256() == record.ids_sha256
        and collection.holds_keys(count)
    )


def point_alias(record: CollectionRecord, uri: str) -> None:
    """Let the alias name the collection of a version."""
    Collection(MilvusServer(uri, _SECONDS), record.name).point_alias(record.alias)


def drop_collection(record: CollectionRecord, uri: str) -> None:
    """Delete the collection of a version; its rows may be gone already."""
    Collection(MilvusServer(uri, _SECONDS), record.name).drop()


def _content_digest(folder: Path) -> str:
    """Return a digest of all that the rows of a version's collection are made of."""
    content = sha256()
    for name in (IDS, VECTORS, HUB_BIAS, ATTRIBUTES):
        if (folder / name).exists():
            content.update(f"{name} {sha256_of(folder / name)}\n".encode())
    return content.hexdigest()[:16]


def _rows(table: AttributeTable | None, start: int, stop: int) -> list[Attributes] | None:
    return None if table is None else table.rows(range(start, stop))
