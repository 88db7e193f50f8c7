"""Items with biases in a collection: Milvus itself ranks by cosine minus bias."""

from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from tusou_indexer.build import BuildSpec, build
from tusou_indexer.compact import compact

from benchmarks.vector_bundle import unit_vectors
from tusou.attributes.filters import parse_filter
from tusou.cli.progress import NoProgress
from tusou.core.hits import Hits
from tusou.indexes.milvus_collection import KEY, VECTOR, Collection
from tusou.indexes.milvus_server import MilvusServer
from tusou.live.operations import Delete, Upsert
from tusou.live.store import LiveStore
from tusou.retrieval.collection_writer import CollectionWriter
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query, VectorPart
from tusou.stages.hub_bias import HubCorrection

DIM = 64
NEW = unit_vectors(3, 5, DIM)
ASKED = unit_vectors(4, 6, DIM)
CHEAP = parse_filter({"price": {"$lt": 4}})


@pytest.fixture
def root(spec: BuildSpec, tmp_path: Path) -> Path:
    np.save(tmp_path / "bank.npy", unit_vectors(50, 8, DIM))
    hub = replace(spec, query_bank=str(tmp_path / "bank.npy"), hub_k=5, hub_alpha=1.0)
    build(hub, tmp_path / "b", NoProgress())
    return tmp_path / "b"


def expected(pipeline: SearchPipeline, vector: np.ndarray, query: Query) -> list[str]:
    """Return the ids that pass, ordered by cosine minus bias."""
    view = pipeline.view
    keys = np.flatnonzero(view.mask(query.filter)).tolist()
    vectors = view.vectors(keys)
    scores = vectors @ vector
    if query.adjust:
        scores = scores - HubCorrection(pipeline.bundle.query_bank, 5, 1.0).bias(vectors)
    order = np.argsort(-scores, kind="stable")[: query.top_k]
    return [str(view.id_at(keys[place])) for place in order]


def check(pipeline: SearchPipeline) -> None:
    model = pipeline.bundle.manifest.model.sha256
    for vector in ASKED:
        for change in (
            {},
            {"filter": CHEAP},
            {"adjust": False},
            {"adjust": False, "filter": CHEAP},
        ):
            query = replace(Query((VectorPart(vector, model),), 8), **change)  # type: ignore[arg-type]
            (hits,) = pipeline.search([query]).hits
            assert isinstance(hits, Hits)
            assert list(map(str, hits.item_ids)) == expected(pipeline, vector, query)
            assert bool(hits.adjusted_scores) == query.adjust


def test_searches_filters_and_the_next_version(root: Path) -> None:
    pipeline = SearchPipeline.open(root, device="cpu")
    check(pipeline)
    store = LiveStore(root, pipeline.bundle)
    pipeline.attach_live(store.items)
    model = pipeline.bundle.manifest.model.sha256
    changes = [
        Upsert(f"new {n}", f"新{n}".encode(), NEW[n], model, {"price": n + 3.0}) for n in range(3)
    ]
    store.change(*changes, Delete("3.jpg#zhc#0"))
    check(pipeline)
    assert pipeline.changeable_index is not None
    writer = CollectionWriter(store.items, pipeline.changeable_index.open_changes())
    deadline = monotonic() + 20
    while writer.behind:
        assert monotonic() < deadline
        sleep(0.05)
    record = pipeline.bundle.manifest.index.collection
    assert record is not None
    rows = Collection(MilvusServer(record.uri, 10.0), record.name).query(
        f"{KEY} >= 0", ["item_id", VECTOR], 100
    )
    stored = {row["item_id"]: np.array(row[VECTOR]) for row in rows}
    bias = HubCorrection(pipeline.bundle.query_bank, 5, 1.0).bias(NEW)
    np.testing.assert_allclose(stored["new 1"][:DIM], NEW[1], atol=1e-6)
    assert stored["new 1"][DIM] == pytest.approx(bias[1])
    writer.stop()
    writer.join()
    store.close()
    compact(root)
    check(SearchPipeline.open(root, device="cpu"))
