"""SearchPipeline: results against brute force, parts of queries, pages, ties and errors."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tusou.core.arrays import Neighbors, Vectors
from tusou.core.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotReady,
    UnknownItem,
)
from tusou.core.hits import Hits
from tusou.encoders import Tokens, find_weights, load_text_encoder
from tusou.images.preprocess import open_image, to_pixels
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query, TextPart, VectorPart
from tusou.retrieval.results import SearchResults
from tusou.text.negation import REFUSED_WEIGHT


def search_texts(pipeline: SearchPipeline, texts: Sequence[str], *top_k: int) -> SearchResults:
    """Search for texts; `top_k` is one number for each, or one for all."""
    counts = top_k if len(top_k) > 1 else top_k * len(texts)
    return pipeline.search(
        [Query.of_text(text, count) for text, count in zip(texts, counts, strict=True)]
    )


@pytest.fixture(scope="module")
def pipeline(bundle: Path) -> SearchPipeline:
    return SearchPipeline.open(bundle)


def test_the_results_are_those_of_brute_force(pipeline: SearchPipeline, tiny_model: Path) -> None:
    texts = ["红色连衣裙", "男士黑色皮鞋", "iPhone15手机壳"]
    encoder = load_text_encoder(find_weights(str(tiny_model)))
    scores = encoder.encode(encoder.prepare(texts)) @ np.asarray(pipeline.bundle.vectors).T
    best = np.argsort(-scores, axis=1, kind="stable")
    results = search_texts(pipeline, texts, 5, 1, 300)
    for row, (hits, k) in enumerate(zip(results.hits, [5, 1, 300], strict=True)):
        assert hits.item_ids == tuple((1000 + best[row, :k]).tolist())
        np.testing.assert_allclose(hits.scores, scores[row, best[row, :k]], atol=1e-5)


def test_a_top_k_larger_than_the_index_returns_every_item(pipeline: SearchPipeline) -> None:
    (hits,) = search_texts(pipeline, ["裙"], 1000).hits
    assert sorted(hits.item_ids, key=int) == list(range(1000, 1300))


def test_a_query_in_another_language_is_marked(pipeline: SearchPipeline) -> None:
    texts = ["nike 连衣裙", "A dog runs in the snow", "개가 눈 속을 달린다", "红裙 αβ"]
    results = search_texts(pipeline, texts, 1)
    assert [hits.unknown_share for hits in results.hits] == [0.0, 1.0, 1.0, 0.5]


def test_a_query_longer_than_the_model_reads_is_marked(pipeline: SearchPipeline) -> None:
    results = search_texts(pipeline, ["裙" * 50, "裙" * 51], 1)
    assert [hits.truncated for hits in results.hits] == [False, True]


def test_a_repeated_query_is_cached_and_has_the_same_results(
    bundle: Path, pipeline: SearchPipeline
) -> None:
    caching = SearchPipeline.open(bundle, cache_size=10)
    first = search_texts(caching, ["红色连衣裙"], 7)
    again = search_texts(caching, ["男士黑色皮鞋", "红色连衣裙"], 3, 9)
    assert (first.cache_hits, again.cache_hits) == (0, 1)
    assert again.hits[1].item_ids[:7] == first.hits[0].item_ids
    assert again.hits[1].scores[:7] == first.hits[0].scores
    assert search_texts(pipeline, ["红色连衣裙"] * 2, 9).cache_hits == 0


def test_warming_up_caches_nothing(bundle: Path) -> None:
    caching = SearchPipeline.open(bundle, cache_size=10)
    caching.warm_up()
    assert search_texts(caching, ["纯棉碎花吊带裙"], 3).cache_hits == 0
    assert search_texts(caching, ["纯棉碎花吊带裙"], 3).cache_hits == 1


def test_the_hits_name_the_version_that_was_searched(pipeline: SearchPipeline) -> None:
    (hits,) = search_texts(pipeline, ["红色连衣裙"], 3).hits
    assert isinstance(hits, Hits)
    assert hits.index_version == pipeline.bundle.version
    assert (hits.positive, hits.negative) == (None, None)


def test_a_refused_thing_is_subtracted_and_reported(pipeline: SearchPipeline) -> None:
    refusing = Query.of_text("不要红色和碎花的连衣裙", 5)
    parts = (
        TextPart("连衣裙"),
        TextPart("红色", -REFUSED_WEIGHT),
        TextPart("碎花", -REFUSED_WEIGHT),
    )
    hits, literal = page(pipeline, refusing), page(pipeline, Query(parts, 5))
    assert (hits.item_ids, hits.scores) == (literal.item_ids, literal.scores)
    assert (hits.positive, hits.negative) == ("连衣裙", "红色、碎花")


@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("cache_size", [0, 10])
def test_a_vector_that_is_not_finite_is_not_searched(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, number: float, cache_size: int
) -> None:
    opened = SearchPipeline.open(bundle, cache_size=cache_size)
    encode = opened._encoder.encode

    def encode_wrongly(tokens: Tokens) -> Vectors:
        vectors = encode(tokens)
        vectors[-1, 5] = number
        return vectors

    with monkeypatch.context() as patch:
        patch.setattr(opened._encoder, "encode", encode_wrongly)
        patch.setattr(opened.items.index, "search", None)
        with pytest.raises(FloatingPointError, match="not finite"):
            search_texts(opened, ["裙", "红色裙"], 1)
    assert search_texts(opened, ["裙", "红色裙"], 1).cache_hits == 0


def unit(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vector / np.linalg.norm(vector)


def page(pipeline: SearchPipeline, query: Query) -> Hits:
    (hits,) = pipeline.search([query]).hits
    assert isinstance(hits, Hits)
    return hits


def test_a_mixed_query_searches_with_the_normalised_weighted_sum(pipeline: SearchPipeline) -> None:
    stored = np.asarray(pipeline.bundle.vectors)
    red, plain = pipeline.encode_texts(["红色", "纯色"]).vectors
    vector = unit(np.arange(1, 65, dtype=np.float32))
    model = pipeline.bundle.manifest.model.sha256
    parts = (
        TextPart("红色", 2),
        VectorPart(vector, model, 0.5),
        ItemPart("1007", 1),
        TextPart("纯色", -0.5),
        ItemPart("1009", -0.25),
    )
    target = unit(2 * red + 0.5 * vector + stored[7] - 0.5 * plain - 0.25 * stored[9])
    scores = stored @ target
    order = [key for key in np.argsort(-scores, kind="stable").tolist() if key not in (7, 9)]
    hits = page(pipeline, Query(parts, 20))
    assert [int(item) - 1000 for item in hits.item_ids] == order[:20]
    np.testing.assert_allclose(hits.scores, scores[order[:20]], atol=1e-5)


def test_a_single_part_keeps_its_vector(pipeline: SearchPipeline) -> None:
    plain = search_texts(pipeline, ["红色裙"], 10).hits[0]
    assert page(pipeline, Query((TextPart("红色裙", 3),), 10)) == plain


def test_the_pages_of_a_ranking_join(pipeline: SearchPipeline) -> None:
    whole = search_texts(pipeline, ["红色裙"], 300).hits[0]
    assert isinstance(whole, Hits)
    exclude = frozenset(str(item) for item in whole.item_ids[5:9])
    pages = [
        page(pipeline, Query((TextPart("红色裙"),), 7, offset, exclude)).item_ids
        for offset in range(0, 301, 7)
    ]
    joined = tuple(item for items in pages for item in items)
    assert joined == whole.item_ids[:5] + whole.item_ids[9:]


def test_a_query_that_fails_does_not_affect_its_batch(pipeline: SearchPipeline) -> None:
    queries = [
        Query((TextPart("红色裙"), ItemPart("7")), 3),
        Query.of_text("红色裙", 3),
        Query((ItemPart("1007"), ItemPart("1007", -1)), 3),
        Query((VectorPart(np.zeros(64, np.float32), "another model"),), 3),
        Query.of_text("裙" * 60, 3),
    ]
    hits = pipeline.search(queries).hits
    assert [type(each) for each in hits] == [UnknownItem, Hits, InvalidRequest, NotReady, Hits]
    assert hits[1] == search_texts(pipeline, ["红色裙"], 3).hits[0]
    assert hits[4].truncated  # type: ignore[union-attr]


def test_a_query_without_a_waiting_caller_is_not_searched(
    pipeline: SearchPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [Query.of_text(query, 3) for query in ("红色裙", "蓝色裤", "白色鞋")]
    whole = pipeline.search(queries).hits
    batch_sizes: list[int] = []
    search = pipeline.items.index.search

    def counted(queries: Vectors, k: int) -> Neighbors:
        batch_sizes.append(len(queries))
        return search(queries, k)

    monkeypatch.setattr(pipeline.items.index, "search", counted)
    hits = pipeline.search(queries, lambda position: position != 1).hits
    assert (hits[0], type(hits[1]), hits[2]) == (whole[0], DeadlineExceeded, whole[2])
    assert set(batch_sizes) == {2}
    batch_sizes.clear()
    assert len(pipeline.search(queries, lambda _: False).hits) == 3
    assert not batch_sizes


def test_an_image_finds_its_own_item(bundle: Path, pool: Path) -> None:
    opened = SearchPipeline.open(bundle)
    with pytest.raises(NotReady):
        opened.encode_images(np.zeros((1, 32, 32, 3), np.uint8))
    opened.load_image_tower()
    data, _ = opened.bundle.image("1042")
    (part,) = opened.encode_images(to_pixels(open_image(data), opened.transform)[None])
    hits = page(opened, Query((part,), 1))
    assert hits.item_ids == (1042,)
    assert hits.scores[0] == pytest.approx(1, abs=1e-3)


def test_both_backends_find_the_same_items(
    copy: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversion = pytest.importorskip("tusou.encoders.openvino.convert")
    monkeypatch.setattr("tusou.encoders.openvino.encoders._run_converter", conversion.convert)
    weights = tmp_path / "tiny.pt"
    shutil.copy(tiny_model, weights)
    opened = {
        backend: SearchPipeline.open(copy, model=str(weights), backend=backend)
        for backend in ("torch", "openvino")
    }
    texts = ["红色连衣裙", "男士黑色皮鞋", "iPhone15手机壳", *(f"第{i}款裙子" for i in range(60))]
    by_torch, by_openvino = (search_texts(each, texts, 3).hits for each in opened.values())
    assert [hits.item_ids for hits in by_torch] == [hits.item_ids for hits in by_openvino]
    data, _ = opened["torch"].bundle.image("1042")
    for backend, pipeline in opened.items():
        pipeline.warm_up()
        pipeline.load_image_tower()
        assert pipeline.backend == backend
        (part,) = pipeline.encode_images(to_pixels(open_image(data), pipeline.transform)[None])
        assert page(pipeline, Query((part,), 1)).item_ids == (1042,)


@pytest.mark.parametrize("top_k", [1, 7, 60])
def test_equal_items_come_in_index_order_on_every_page(
    pipeline: SearchPipeline, monkeypatch: pytest.MonkeyPatch, top_k: int
) -> None:
    monkeypatch.setattr(pipeline.items, "index", Twins())
    pages = [
        page(pipeline, Query((TextPart("裙"),), top_k, offset)).item_ids
        for offset in range(0, 60, top_k)
    ]
    joined = [item for items in pages for item in items]
    assert joined[:60] == [*range(1000, 1060)]


class Twins:
    """An index of pairs with equal scores, which returns either of the last pair."""

    def __len__(self) -> int:
        return 300

    def search(self, queries: Vectors, k: int) -> Neighbors:
        ids = np.arange(k)
        if k % 2:
            ids[-1] += 1
        scores = (1 - ids // 2 / 300).astype(np.float32)
        return Neighbors(np.tile(ids, (len(queries), 1)), np.tile(scores, (len(queries), 1)))
