"""Search of bundles that hold vectors alone, in process and in batches."""

from pathlib import Path

import numpy as np
import pytest
from tusou_indexer.build_from_vectors import build_from_vectors
from tusou_indexer.index.request import IndexRequest
from tusou_indexer.vector_build_inputs import VectorBuildSpec

import tusou
from tusou.bundle.bundle import Bundle
from tusou.cli.progress import NoProgress
from tusou.core.errors import InvalidRequest, NoEncoder, NoImage
from tusou.core.hits import Hits
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query, given_vector

DIM = 8
IDS = ["1.jpg#zhc#0", "1.jpg#zhc#1", "连衣裙", "0007"]
DRAWN = np.random.default_rng(5).normal(size=(4, DIM)).astype(np.float32)
UNIT = DRAWN / np.linalg.norm(DRAWN, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors")
    np.save(folder / "x.npy", UNIT)
    (folder / "ids.txt").write_text("\n".join(IDS))
    spec = VectorBuildSpec(folder / "x.npy", folder / "ids.txt", IndexRequest())
    build_from_vectors(spec, folder / "b", NoProgress())
    return folder / "b"


def test_a_vector_an_item_and_a_mixture_of_them_are_searched_for(vectors: Path) -> None:
    with tusou.open_bundle(vectors) as bundle:
        query = np.arange(DIM, dtype=np.float64)
        order = np.argsort(-(UNIT @ query))
        hits = bundle.search(vector=query.tolist())
        assert hits.item_ids == tuple(IDS[n] for n in order)
        np.testing.assert_allclose(
            hits.scores, (UNIT @ query / np.linalg.norm(query))[order], atol=1e-6
        )
        assert IDS[2] not in bundle.search(item_id=IDS[2]).item_ids
        mixed = bundle.search(vector=UNIT[0], vector_weight=0.5, item_id=IDS[2])
        total = UNIT[0] * 0.5 + UNIT[2]
        expected = [n for n in np.argsort(-(UNIT @ total)) if n != 2]
        assert mixed.item_ids == tuple(IDS[n] for n in expected)


def test_texts_and_images_are_refused_by_a_stable_code(vectors: Path, tmp_path: Path) -> None:
    with tusou.open_bundle(vectors) as bundle:
        with pytest.raises(NoEncoder, match="index them again with --model") as raised:
            bundle.search("红裙")
        assert raised.value.code == "no_encoder"
        with pytest.raises(NoEncoder):
            bundle.search(vector=UNIT[0], negative="红裙")
        with pytest.raises(NoEncoder):
            bundle.encode_texts(["红裙"])


@pytest.mark.parametrize(
    "vector",
    [
        pytest.param(UNIT[0][:5], id="shorter"),
        pytest.param(UNIT[:1], id="matrix"),
        pytest.param(UNIT[0] * 0, id="zeros"),
        pytest.param([1.0] * 7 + [float("nan")], id="nan"),
        pytest.param([1e308] * 8, id="overflow"),
        pytest.param("裙", id="text"),
    ],
)
def test_other_vectors_are_refused(vector: object, vectors: Path) -> None:
    with tusou.open_bundle(vectors) as bundle, pytest.raises(InvalidRequest, match="query vector"):
        bundle.search(vector=vector)  # type: ignore[arg-type]


def test_in_a_batch_only_the_text_is_refused(vectors: Path) -> None:
    pipeline = SearchPipeline.open(vectors)
    pipeline.warm_up()
    text, vector, item = pipeline.search(
        [
            Query.of_text("红裙", 2),
            Query((given_vector(UNIT[3]),), 2),
            Query((ItemPart(IDS[3]),), 2),
        ]
    ).hits
    assert isinstance(text, NoEncoder)
    assert isinstance(vector, Hits)
    assert isinstance(item, Hits)
    assert vector.item_ids[0] == IDS[3]
    assert IDS[3] not in item.item_ids
    with pytest.raises(NoEncoder):
        pipeline.load_image_tower()


def test_a_sample_has_no_score_of_texts(vectors: Path) -> None:
    bundle = Bundle.open(vectors)
    assert bundle.sample.text_score is None
    assert bundle.sample.item_score == pytest.approx(
        float(np.quantile((UNIT @ UNIT.T)[~np.eye(4, dtype=bool)], 0.99))
    )
    with pytest.raises(NoImage):
        bundle.image(IDS[0])
