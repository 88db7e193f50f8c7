"""In-process search of real bundles, of images and of texts."""

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import image_bytes
from drawn_items import write_attributes
from PIL import Image
from tusou_indexer.build import BuildSpec, build

import tusou
from tusou.attributes.schema import Attributes
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
from tusou.retrieval.grouping import NEAR_DUPLICATE_COSINE
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


@pytest.fixture(scope="module")
def goods(
    pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LocalSearch, list[Attributes]]]:
    """Open a bundle of 300 items with attributes."""
    folder = tmp_path_factory.mktemp("goods")
    rows = write_attributes(folder / "goods.jsonl", 300, 1000)
    spec = BuildSpec(str(pool), str(tiny_model), workers=1, attributes=folder / "goods.jsonl")
    build(spec, folder / "b", NoProgress())
    with tusou.open_bundle(folder / "b") as opened:
        yield opened, rows


def test_options_select_group_and_describe_items(
    goods: tuple[LocalSearch, list[Attributes]],
) -> None:
    local, rows = goods
    hits = local.search(
        "红色连衣裙",
        top_k=5,
        filter={"category": "鞋", "price": {"$gte": 100}},
        distinct="product_id",
        fields=["price", "product_id"],
        facets="tags",
    )
    passing = [
        number
        for number, row in enumerate(rows)
        if row.get("category") == "鞋" and row.get("price", 0) >= 100  # type: ignore[operator]
    ]
    keys = [int(item_id) - 1000 for item_id in hits.item_ids]
    assert hits.matching_items == len(passing)
    assert set(keys) <= set(passing)
    assert [dict(each) for each in hits.attributes] == [
        {name: rows[key][name] for name in ("price", "product_id") if name in rows[key]}
        for key in keys
    ]
    products = [rows[key].get("product_id") for key in passing]
    shown = [rows[key].get("product_id") for key in keys]
    assert hits.others == tuple(products.count(each) - 1 if each else 0 for each in shown)
    assert list(hits.facets) == ["tags"]
    plain = local.search("红色连衣裙", top_k=300)
    ranking = [item_id for item_id in plain.item_ids if int(item_id) - 1000 in passing]
    assert [item_id for item_id in ranking if item_id in hits.item_ids] == list(hits.item_ids)
    assert hits.item_ids[0] == ranking[0]


def test_near_duplicates_are_collapsed(goods: tuple[LocalSearch, list[Attributes]]) -> None:
    local, _ = goods
    hits = local.search("红色连衣裙", top_k=300, collapse="near_duplicates")
    whole = local.search("红色连衣裙", top_k=300)
    assert hits.item_ids[0] == whole.item_ids[0]
    vectors = local._pipeline.items.vectors([int(item_id) - 1000 for item_id in hits.item_ids])
    cosines = vectors @ vectors.T - np.eye(len(hits))
    assert len(hits) == 1 or cosines.max() < NEAR_DUPLICATE_COSINE + 1e-6
    assert sum(hits.others) >= 300 - len(hits)  # an item may look like several hits


REFUSED = [
    pytest.param({"filter": {"preis": 5}}, "No attribute is called “preis”", id="unknown"),
    pytest.param({"filter": {"price": "5"}}, "“price” is of type integer", id="type"),
    pytest.param({"filter": {"price": {"$le": 5}}}, "Operators of “price” are", id="operator"),
    pytest.param({"distinct": "product"}, "No attribute is called “product”", id="distinct"),
    pytest.param({"collapse": "all"}, "collapse must be", id="collapse"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_wrong_options_are_named(
    goods: tuple[LocalSearch, list[Attributes]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        goods[0].search("红色连衣裙", **options)


def test_a_bundle_without_attributes_has_nothing_to_filter(local: LocalSearch) -> None:
    with pytest.raises(InvalidRequest, match="The items have no attributes"):
        local.search("红色连衣裙", filter={"price": 5})
