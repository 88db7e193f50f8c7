"""In-process search of real bundles, of images and of texts."""

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from drawing import image_bytes
from PIL import Image
from tusou_indexer.build import BuildSpec, build

import tusou
from tusou.cli.progress import NoProgress
from tusou.core.errors import (
    BadImage,
    CorruptBundle,
    EmptyQuery,
    InvalidRequest,
    NotReady,
    UnknownItem,
)
from tusou.core.hits import Hits
from tusou.retrieval.local import LocalSearch
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import Query


@pytest.fixture(scope="module")
def bundle(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("local") / "b"
    build(BuildSpec(str(pool), str(tiny_model), workers=1), root, NoProgress())
    return root


@pytest.fixture(scope="module")
def local(bundle: Path) -> Iterator[LocalSearch]:
    with tusou.open_bundle(bundle) as opened:
        yield opened


def test_a_query_finds_what_the_pipeline_finds(local: LocalSearch, bundle: Path) -> None:
    pipeline = SearchPipeline.open(bundle)
    (expected,) = pipeline.search([Query.of_text("红色连衣裙", 5)]).hits
    hits = local.search("红色连衣裙", top_k=5)
    assert isinstance(hits, Hits)
    assert (hits.item_ids, hits.scores) == (expected.item_ids, expected.scores)
    assert hits.index_version == local.index_version == pipeline.bundle.version
    assert (len(hits), len(local), hits[0].rank) == (5, 300, 1)


def test_a_list_of_queries_gives_a_list_of_hits(local: LocalSearch) -> None:
    both = local.search(["红色连衣裙", "裙" * 60], top_k=3)
    assert [hits.truncated for hits in both] == [False, True]
    assert both[0].item_ids == local.search("红色连衣裙", top_k=3).item_ids
    assert local.search([]) == []


def test_refusals_are_subtracted_unless_interpret_is_off(local: LocalSearch) -> None:
    hits = local.search("不带拉链的包")
    assert (hits.positive, hits.negative) == ("包", "拉链")
    as_written = local.search(["不带拉链的包"], interpret=False)[0]
    assert (as_written.positive, as_written.negative) == (None, None)
    assert as_written.scores != hits.scores


def test_an_image_finds_itself_as_path_bytes_or_pillow_image(
    local: LocalSearch, tmp_path: Path
) -> None:
    data = image_bytes(7)
    path = tmp_path / "shoe.jpg"
    path.write_bytes(data)
    for image in (data, path, str(path), Image.open(BytesIO(data))):
        assert local.search(image=image, top_k=1).item_ids == (1007,)


def test_items_and_negatives_steer_the_search(local: LocalSearch) -> None:
    like = local.search(item_id=1007, top_k=300)
    assert 1007 not in like.item_ids
    assert local.search(item_id="1007", top_k=300).item_ids == like.item_ids
    mixed = local.search("裙", 300, item_id=1007, item_weight=2.0)
    assert mixed.scores != like.scores
    away = local.search(item_id=1007, top_k=300, negative_item_id=1008, negative="鞋")
    assert not {1007, 1008} & set(away.item_ids)


def test_pages_and_exclusions(local: LocalSearch) -> None:
    whole = local.search("裙", top_k=8)
    assert local.search("裙", top_k=5, offset=3).item_ids == whole.item_ids[3:]
    rest = local.search("裙", top_k=6, exclude=[whole.item_ids[0], str(whole.item_ids[1])])
    assert rest.item_ids == whole.item_ids[2:]


def test_embeddings_are_unit_rows_that_the_search_compares(local: LocalSearch) -> None:
    texts = local.encode_texts(["红色连衣裙", " 裙 "])
    images = local.encode_images([image_bytes(7), image_bytes(8)])
    assert (texts.shape, texts.dtype) == ((2, 64), np.float32)
    assert (images.shape, images.dtype) == ((2, 64), np.float32)
    np.testing.assert_allclose(np.linalg.norm([*texts, *images], axis=1), 1, atol=1e-5)
    best = local.search("红色连衣裙", top_k=300)
    position = best.item_ids.index(1007)
    assert best.scores[position] == pytest.approx(texts[0] @ images[0], abs=1e-5)
    assert local.encode_texts([]).shape == local.encode_images([]).shape == (0, 64)


def test_many_images_take_several_batches(local: LocalSearch) -> None:
    images = [image_bytes(seed) for seed in range(40)]
    vectors = local.encode_images(images)
    np.testing.assert_allclose(
        vectors[[0, 39]], local.encode_images([images[0], images[39]]), atol=1e-5
    )


def test_a_notebook_shows_the_images_of_the_hits(local: LocalSearch) -> None:
    hits = local.search(image=image_bytes(7), top_k=2)
    view = hits.show()
    html = view._repr_html_()
    assert html.count("<figure") == 2
    assert f"1 · 1007 · {hits.scores[0]:.3f}" in html
    assert f"data:image/jpeg;base64,{base64.b64encode(image_bytes(7)).decode()}" in html
    assert repr(view).splitlines()[0] == f"1\t1007\t{hits.scores[0]:.4f}"
    assert hits[1:].show()._repr_html_().count("<figure") == 1


def test_a_notebook_shows_the_texts_of_a_text_bundle(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"id": f"词-{n}", "text": f"第{n}件<裙>"} for n in range(50)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(BuildSpec(str(tmp_path / "texts.jsonl"), str(tiny_model)), tmp_path / "b", NoProgress())
    with tusou.open_bundle(str(tmp_path / "b")) as local:
        html = local.search("第3件<裙>", top_k=1).show()._repr_html_()
        assert len(local.search(image=image_bytes(1), top_k=7)) == 7
    assert "<div>第3件&lt;裙&gt;</div>" in html
    assert "词-3" in html


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({}, InvalidRequest, id="nothing"),
        pytest.param({"negative": "鞋"}, InvalidRequest, id="only-a-negative"),
        pytest.param({"query": "裙", "top_k": 0}, InvalidRequest, id="top_k"),
        pytest.param({"query": "裙", "offset": -1}, InvalidRequest, id="offset"),
        pytest.param({"query": "裙", "query_weight": float("nan")}, InvalidRequest, id="nan"),
        pytest.param({"query": "裙", "query_weight": 11}, InvalidRequest, id="weight"),
        pytest.param({"query": "  "}, EmptyQuery, id="blank"),
        pytest.param({"query": ["裙", ""]}, EmptyQuery, id="blank-in-a-list"),
        pytest.param({"item_id": 1}, UnknownItem, id="unknown-item"),
        pytest.param({"image": b"no image"}, BadImage, id="no-image"),
        pytest.param({"image": "/does/not/exist.jpg"}, BadImage, id="no-file"),
    ],
)
def test_a_wrong_argument_is_a_tusou_error(
    local: LocalSearch, arguments: dict[str, object], error: type[tusou.errors.TusouError]
) -> None:
    with pytest.raises(error):
        local.search(**arguments)  # type: ignore[call-overload]


def test_an_unknown_option_is_a_type_error(local: LocalSearch) -> None:
    with pytest.raises(TypeError, match="topk"):
        local.search("裙", topk=5)  # type: ignore[call-overload]


def test_a_closed_bundle_says_so(bundle: Path) -> None:
    with tusou.open_bundle(bundle) as local:
        pass
    local.close()
    with pytest.raises(NotReady, match="closed"):
        local.search("裙")


def test_a_folder_that_is_no_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorruptBundle):
        tusou.open_bundle(tmp_path)
