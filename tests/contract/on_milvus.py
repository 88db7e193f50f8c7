"""A pool whose index is a collection of a Milvus server, into which live changes are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
from drawn_items import SCHEMA, draw_attributes

from tests.contract.pools import COUNT, Pool, item_id_of, write_bundle
from tusou.indexes import load_index
from tusou.indexes.milvus_index import MilvusIndex
from tusou.indexes.specs import MilvusSpec
from tusou.retrieval.collection_writer import CollectionWriter
from tusou.stages.hub_bias import HubCorrection


@contextmanager
def milvus_pool(
    folder: Path, uri: str, *, live: bool, hub: HubCorrection | None = None
) -> Iterator[Pool]:
    """Fill a collection of a server and open it; it is dropped at the end."""
    ids = [item_id_of(key) for key in range(COUNT)]
    digest = sha256("".join(f"{item_id}\n" for item_id in ids).encode()).hexdigest()
    name = "c_" + sha256(str(folder).encode()).hexdigest()[:12]
    record = {"uri": uri, "name": name, "alias": "contract", "ids_sha256": digest}
    bundle = write_bundle(folder / "b", record, hub)
    vectors = bundle.index_vectors
    spec = MilvusSpec(uri, name, digest, tuple(sorted(SCHEMA.items())), 30.0)
    built = MilvusIndex(spec, vectors.dim)
    built.add(np.arange(COUNT), vectors.read(), ids, draw_attributes(COUNT))
    built.save(folder / "index")
    index = load_index(spec, folder / "index", vectors=vectors)
    assert isinstance(index, MilvusIndex)
    pool = Pool(bundle, folder / "b", index, live=live)
    if pool.store:
        pool.writer = CollectionWriter(pool.store.items, index.open_changes())
    yield pool
    if pool.writer:
        pool.writer.stop()
        pool.writer.join()
    index.collection.drop()
