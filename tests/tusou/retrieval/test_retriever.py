"""Searching on the device that encodes finds what searching by way of the host finds.

Without a GPU the device is the processor and a recording is the work done again; which texts go
which way, and how what they found comes back, is as on a GPU.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recording import Again
from torch import Tensor
from tusou_indexer.build import BuildSpec, build

from tusou.cli.progress import NoProgress
from tusou.core.arrays import Neighbors, Vectors
from tusou.encoders import Followed, PromptedEncoder, TextEncoder, find_weights
from tusou.encoders.cuda.text_graphs import TextGraphs
from tusou.encoders.torch.encoder import ClipTextEncoder
from tusou.indexes import VectorIndex, create_index
from tusou.indexes.specs import FaissSpec, TorchSpec
from tusou.retrieval.pipeline import SearchPipeline
from tusou.retrieval.query import ItemPart, Query, TextPart
from tusou.retrieval.results import Hits
from tusou.retrieval.retriever import Retriever

DIM, ITEMS = 64, 300
TEXTS = ["红色碎花吊带裙", "北欧轻奢边几", "裙", "", "复古 ABC 2023 连衣裙", "男士黑色皮鞋，" * 12]


def texts(count: int) -> list[str]:
    return [TEXTS[number % len(TEXTS)] + str(number) * (number % 5) for number in range(count)]


def axes(keys: Sequence[int]) -> VectorIndex:
    """Make an index of axes, in turn: a score is one number of the query, to the last bit.

    Every 64th item has the very same score.
    """
    index = create_index(TorchSpec(), DIM)
    index.add(np.array(keys, np.int64), np.eye(DIM, dtype=np.float32)[np.arange(len(keys)) % DIM])
    return index


APART = axes(range(3, ITEMS, 5))  # 60 items, no two alike
ALIKE = axes(range(ITEMS))


@pytest.fixture(scope="module")
def bundle(pool: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundle") / "b"
    build(BuildSpec(str(pool), str(tiny_model), factory="torch", workers=1), root, NoProgress())
    return root


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Iterator[ClipTextEncoder]:
    made = ClipTextEncoder(find_weights(str(tiny_model)), "cpu", "fp32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "tusou.encoders.cuda.text_graphs._MOST_TOKENS", 512
        )  # 300 texts are ten passes
        made.record(Again)
        assert made.recorded
        yield made


@pytest.fixture(scope="module")
def opened(bundle: Path, encoder: ClipTextEncoder) -> SearchPipeline:
    pipeline = SearchPipeline.open(bundle)
    pipeline._encoder = encoder
    return pipeline


class Watched:
    """An index that counts the queries that came from the host and those that were there."""

    def __init__(self, index: VectorIndex, *, there: bool = True) -> None:
        self._index, self._there = index, there
        self.from_host = self.on_the_way = 0
        self.device, self.columns = index.on_device.device, index.on_device.columns  # type: ignore[union-attr]
        self.read = index.on_device.read  # type: ignore[union-attr]

    @property
    def on_device(self) -> "Watched | None":
        return self if self._there else None

    def __len__(self) -> int:
        return len(self._index)

    def search(self, queries: Vectors, k: int) -> Neighbors:
        self.from_host += len(queries)
        return self._index.search(queries, k)

    def start(self, queries: Tensor, k: int) -> Tensor:
        self.on_the_way += len(queries)
        found: Tensor = self._index.on_device.start(queries, k)  # type: ignore[union-attr]
        return found


def over(
    opened: SearchPipeline, index: VectorIndex, *, there: bool = True, remember: int = 0
) -> tuple[SearchPipeline, Watched]:
    """Give the pipeline another index, and have its queries go by the host unless `there`."""
    watched = Watched(index, there=there)
    opened._nearest = Retriever(opened._encoder, watched, remember)  # type: ignore[arg-type]
    assert opened._nearest.direct == there
    return opened, watched


def both_ways(opened: SearchPipeline, index: VectorIndex, asks: Sequence[Query]) -> Watched:
    """Assert that both ways give the same answers; return what the way on the device did."""
    pipeline, by_host = over(opened, index, there=False)
    expected = repr(pipeline.answer(asks).hits)  # two errors alike are not equal
    assert by_host.on_the_way == 0
    pipeline, watched = over(opened, index)
    assert repr(pipeline.answer(asks).hits) == expected
    return watched


@pytest.mark.parametrize("count", [1, 2, 3, 33, 256, 300])
def test_both_ways_find_the_same(opened: SearchPipeline, count: int) -> None:
    asks = [Query.of_text(text, 1 + row % 30) for row, text in enumerate(texts(count))]
    watched = both_ways(opened, APART, asks)
    assert (watched.on_the_way, watched.from_host) == (count, 0)


@pytest.mark.parametrize("top_k", [1, 58, 59, 60, 1000])
def test_both_ways_find_as_many(opened: SearchPipeline, top_k: int) -> None:
    watched = both_ways(opened, APART, [Query.of_text(text, top_k) for text in TEXTS])
    assert (watched.on_the_way, watched.from_host) == (len(TEXTS), 0)


def test_real_items_are_found_both_ways(opened: SearchPipeline) -> None:
    asks = [Query.of_text(text, 10) for text in texts(40)]
    by_host = over(opened, opened._index, there=False)[0].answer(asks).hits
    pipeline, watched = over(opened, opened._index)
    for one, other in zip(by_host, pipeline.answer(asks).hits, strict=True):
        assert isinstance(one, Hits)
        assert isinstance(other, Hits)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
        known = dict(zip(one.item_ids, one.scores, strict=True))
        for item, score in zip(other.item_ids, other.scores, strict=True):
            assert known.get(item, one.scores[-1]) == pytest.approx(score, abs=1e-6)
    assert watched.on_the_way == 40


def test_items_that_tie_at_the_end_are_looked_at_again(opened: SearchPipeline) -> None:
    asks = [Query.of_text(text, 1 + row % 12) for row, text in enumerate(texts(30))]
    watched = both_ways(opened, ALIKE, asks)
    assert watched.on_the_way == 30
    assert watched.from_host > 0


def test_pages_of_equal_items_join(opened: SearchPipeline) -> None:
    pipeline, _ = over(opened, ALIKE)
    (whole,) = pipeline.answer([Query.of_text("红色裙", ITEMS)]).hits
    pages = pipeline.answer(
        [Query((TextPart("红色裙"),), 7, offset) for offset in range(0, 126, 7)]
    )
    joined = [item for page in pages.hits if isinstance(page, Hits) for item in page.item_ids]
    assert isinstance(whole, Hits)
    assert tuple(joined[:126]) == whole.item_ids[:126]


def test_both_ways_hide_what_is_excluded_and_turn_pages(opened: SearchPipeline) -> None:
    (whole,) = over(opened, APART)[0].answer([Query.of_text("红色裙", 60)]).hits
    assert isinstance(whole, Hits)
    gone = frozenset({*map(str, whole.item_ids[2:9]), "of no item"})
    asks = [Query((TextPart("红色裙"),), 6, offset, gone) for offset in (0, 5, 50, 60)]
    watched = both_ways(opened, APART, asks)
    assert (watched.on_the_way, watched.from_host) == (4, 0)
    first = over(opened, APART)[0].answer(asks).hits[0]
    assert isinstance(first, Hits)
    assert first.item_ids == whole.item_ids[:2] + whole.item_ids[9:13]


def test_what_is_more_than_one_text_goes_by_the_host(opened: SearchPipeline) -> None:
    known = ItemPart("1003")
    asks = [
        Query((TextPart("红色裙"), known), 3),
        Query.of_text("红色裙", 3),
        Query((known,), 3),
        Query((TextPart("红色裙"), TextPart("蓝色", -0.5)), 3),
        Query.of_text("裙" * 60, 3),
        Query((ItemPart("7"),), 3),
    ]
    watched = both_ways(opened, APART, asks)
    assert watched.from_host == 3
    watched = both_ways(opened, APART, [one for one in asks if not one.is_text])
    assert (watched.on_the_way, watched.from_host) == (0, 3)


def test_answers_longer_than_there_is_room_for_go_by_the_host(opened: SearchPipeline) -> None:
    watched = both_ways(opened, ALIKE, [Query.of_text("红色裙", 3), Query.of_text("蓝色裤", 128)])
    assert watched.on_the_way == 0
    assert both_ways(opened, ALIKE, [Query.of_text("红色裙", 127)]).on_the_way == 1


def test_what_nobody_waits_for_stays_unanswered(opened: SearchPipeline) -> None:
    asks = [Query.of_text(text, 3) for text in TEXTS]
    whole = over(opened, APART)[0].answer(asks).hits
    hits = over(opened, APART)[0].answer(asks, lambda place: place == 2).hits
    assert [hits[place] == whole[place] for place in range(6)] == [False, False, True, *[False] * 3]


def test_a_remembered_text_is_answered_by_its_own_vector(opened: SearchPipeline) -> None:
    pipeline, watched = over(opened, APART, remember=100)
    some = texts(9)
    first = pipeline.search(some[:5], [7] * 5)
    again = pipeline.search(some, [7] * 9)
    assert (first.remembered, again.remembered) == (0, 5)
    assert again.hits[:5] == first.hits
    assert (watched.on_the_way, watched.from_host) == (9, 5)
    last = pipeline.search(some, [7] * 9)
    assert (last.remembered, last.hits) == (9, again.hits)
    assert (watched.on_the_way, watched.from_host) == (9, 14)


@contextmanager
def broken(graphs: TextGraphs, number: float) -> Iterator[None]:
    """Have the model give one such number in the vector of the last text of a pass."""
    forward = graphs._forward

    def wrong(ids: Tensor) -> Tensor:
        rows = forward(ids)
        rows[len(rows) // 2, 5] = number
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "_forward", wrong)
        yield


@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("remember", [0, 10])
def test_one_number_that_is_not_finite_is_an_error(
    opened: SearchPipeline, encoder: ClipTextEncoder, number: float, remember: int
) -> None:
    pipeline, watched = over(opened, APART, remember=remember)
    assert encoder.passes
    with broken(encoder.passes, number), pytest.raises(FloatingPointError, match="not finite"):
        pipeline.search(["红色裙", "蓝色裤"], [3, 3])
    assert watched.on_the_way == 2
    assert pipeline.search(["红色裙", "蓝色裤"], [3, 3]).remembered == 0


def test_a_search_that_fails_leaves_nothing_to_the_next(
    opened: SearchPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, k = texts(300), [5] * 300
    expected = over(opened, APART)[0].search(some, k).hits
    pipeline, watched = over(opened, APART)
    failing = [False, True]
    start = watched.start

    def no_memory(queries: Tensor, k: int) -> Tensor:
        if failing and failing.pop(0):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return start(queries, k)

    monkeypatch.setattr(watched, "start", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        pipeline.search(some, k)
    assert pipeline.search(some, k).hits == expected


def test_what_the_device_spent_on_searching_is_no_encoding(
    opened: SearchPipeline, encoder: ClipTextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert encoder.passes
    encode_and = encoder.passes.encode_and
    spent: list[float] = []

    def slower(*given: object) -> Followed:
        found: Followed = encode_and(*given)  # type: ignore[arg-type]
        spent.append(found.seconds)
        return replace(found, seconds=found.seconds + 3600)

    pipeline = over(opened, APART)[0]
    monkeypatch.setattr(encoder.passes, "encode_and", slower)
    times = pipeline.search(texts(300), [5] * 300).times
    assert spent[0] > 0
    assert 3600 <= times.search < 3660
    assert -3600 <= times.encode < -3540
    host = over(opened, APART, there=False)[0].search(texts(300), [5] * 300).times
    assert 0 < host.search < host.search + host.encode < 60


def test_a_prompt_stands_in_the_way_of_nothing(
    opened: SearchPipeline, encoder: ClipTextEncoder, bundle: Path
) -> None:
    prompted = PromptedEncoder(encoder, "商品：{query}")
    nearest = Retriever(prompted, APART, 0)
    assert nearest.direct
    near = nearest.encode(prompted.prepare(["红色裙"]), 3).near[0]
    pipeline = over(opened, APART)[0]
    (hits,) = pipeline.search(["商品：红色裙"], [3]).hits
    assert isinstance(hits, Hits)
    assert near
    assert tuple(1000 + key for key in near.keys[:3]) == hits.item_ids


@pytest.mark.parametrize("case", ["not recorded", "FAISS", "another device"])
def test_without_both_on_one_device_all_goes_by_the_host(
    case: str, encoder: ClipTextEncoder, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: TextEncoder = encoder
    index = APART
    if case == "not recorded":
        texts = ClipTextEncoder(find_weights(str(tiny_model)), "cpu", "fp32")
    if case == "FAISS":
        index = create_index(FaissSpec("Flat"), DIM)
        index.add(np.arange(60), np.eye(DIM, dtype=np.float32)[:60])
    if case == "another device":
        monkeypatch.setattr(type(index), "device", "cuda:1")
    nearest = Retriever(texts, index, 0)
    assert not nearest.direct
    assert nearest.encode(texts.prepare(TEXTS), 3).near == [None] * len(TEXTS)


def test_warming_up_remembers_nothing(opened: SearchPipeline) -> None:
    pipeline, _ = over(opened, APART, remember=10)
    pipeline.warm_up()
    assert pipeline.search(["纯棉碎花吊带裙"], [3]).remembered == 0


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 7, 300, 1500])
@pytest.mark.parametrize("remember", [0, 2000])
def test_a_gpu_finds_the_nearest_on_the_way(bundle: Path, count: int, remember: int) -> None:
    pipeline = SearchPipeline.open(bundle, device="cuda", precision="fp32", remember=remember)
    assert not pipeline.direct
    some, stored = texts(count), np.asarray(pipeline.bundle.vectors)
    truth = pipeline.embed(some).vectors @ stored.T
    best = -np.sort(-truth, axis=1)[:, :10]
    pipeline.warm_up()
    assert pipeline.direct
    for _ in range(3):  # remembered from the second time on, if at all
        answers = pipeline.search(some, [10] * count)
        hits = [one for one in answers.hits if isinstance(one, Hits)]
        keys = np.array([one.item_ids for one in hits]) - 1000
        scores = np.array([one.scores for one in hits])
        np.testing.assert_allclose(scores, best, atol=1e-4)
        np.testing.assert_allclose(np.take_along_axis(truth, keys, 1), scores, atol=1e-4)
        assert min(answers.times.tokenise, answers.times.encode, answers.times.search) > 0
